/**
 * The item stage's operators in the order they run: the catalogue first (it stops signals for deleted items), expiry last.
 */
import type { AnyOperator } from '../../streams/runtime/operator.js';
import { createCatalogueOperator } from './catalogue.js';
import type { CoVisitationConfig } from './co-visitation.js';
import { createCoVisitationOperator } from './co-visitation.js';
import type { CtrConfig } from './ctr.js';
import { createCtrOperator } from './ctr.js';
import type { ItemEmbeddingConfig } from './item-embedding.js';
import { createItemEmbeddingOperator } from './item-embedding.js';
import type { ItemEvent } from './item-events.js';
import type { ItemExpiryConfig } from './item-expiry.js';
import { createItemExpiryOperator } from './item-expiry.js';
import type { PopularityConfig } from './popularity.js';
import { createPopularityOperator } from './popularity.js';
import { createSessionIndexOperator } from './session-index.js';
import { createUserSampleOperator } from './user-sample.js';

export interface ItemOperatorsConfig {
  /** Physical name of the item-state topic. */
  readonly topic: string;
  /** Id of the embedding space. */
  readonly space: string;
  readonly popularity?: Omit<PopularityConfig, 'topic'>;
  readonly ctr?: Omit<CtrConfig, 'topic'>;
  readonly coVisitation?: Omit<CoVisitationConfig, 'topic'>;
  readonly embedding?: Omit<ItemEmbeddingConfig, 'topic' | 'space'>;
  readonly expiry?: Omit<ItemExpiryConfig, 'topic'>;
}

export function createItemOperators(config: ItemOperatorsConfig): readonly AnyOperator<ItemEvent>[] {
  const { topic, space } = config;
  const catalogue = createCatalogueOperator({ topic });
  const sessionIndex = createSessionIndexOperator({ topic });
  const userSample = createUserSampleOperator({ space });
  return [
    catalogue,
    createPopularityOperator({ ...config.popularity, topic }),
    createCtrOperator({ ...config.ctr, topic }),
    createCoVisitationOperator({ ...config.coVisitation, topic }),
    sessionIndex,
    userSample,
    createItemEmbeddingOperator({ ...config.embedding, topic, space }, userSample),
    createItemExpiryOperator({ ...config.expiry, topic }, catalogue, sessionIndex),
  ];
}

export { createItemEventsCodec } from './item-events.js';
export type { ItemEvent } from './item-events.js';
