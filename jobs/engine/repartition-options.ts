/** What a repartition has to know of this engine: its stages, its topics as they are to be, and its documents. */
import { engineTopics } from '../../operators/engine-topology.js';
import { tryParseTableKey } from '../../operators/item/table-key.js';
import type { Clock } from '../../streams/clock.js';
import type { Random } from '../../streams/random.js';
import type { RepartitionOptions } from '../../streams/transfer/repartition.js';
import type { FreshetConfig } from '../config.js';
import { createTopologyOf } from './engine.js';
import { GENERATION_DOCUMENT } from './storage.js';

/** `config`: with the number of partitions that there is to be. */
export function repartitionOptionsOf(
  config: FreshetConfig,
  { clock, random }: { readonly clock: Clock; readonly random: Random },
): RepartitionOptions {
  const { namespace, partitions } = config.streams;
  return {
    topology: createTopologyOf(config).topology,
    topics: engineTopics(namespace, partitions),
    documents: { [GENERATION_DOCUMENT]: (text) => laterGeneration(text, clock.now()) },
    tableOwner: (_, key) => tryParseTableKey(key)?.itemId ?? key,
    random: random.stream('repartition'),
  };
}

/** Feeds of the new partitions are newer than any of the old ones. None yet: the first serving node makes it. */
function laterGeneration(text: string | undefined, nowMs: number): string | undefined {
  return text === undefined ? undefined : String(Math.max(Math.floor(nowMs), Number(text) + 1));
}
