/** Tables filled through the item operators, and people to ask for: shared by retrieval and pipeline tests. */
import { createItemOperators } from '../../../operators/item/index.js';
import type { ItemEvent } from '../../../operators/item/index.js';
import { decodeRecord } from '../../../schemas/codec.js';
import { hash32 } from '../../../schemas/ids.js';
import type { UserSnapshotLike } from '../../../serving/retrieval/request.js';
import { ItemTables } from '../../../serving/tables/item-tables.js';
import { DirectStage } from '../../operators/item/direct-stage.js';
import { met, pair } from '../../operators/item/item-records.js';

export class World {
  readonly tables = new ItemTables({ dimensions: 4, space: 's' });
  private readonly stage = new DirectStage(
    createItemOperators({ topic: 't', space: 's', embedding: { dimensions: 4 } }),
    ({ key, value, version }) => {
      if (value.length === 0) this.tables.withdraw(key, version);
      else this.tables.apply(decodeRecord(value));
    },
  );

  tell(...events: ItemEvent[]): this {
    for (const event of events)
      if (event.kind !== 'Control' && event.kind !== 'Tick') this.stage.process(event, event.itemId);
    return this;
  }

  /** A session that met these items one second apart, with the pairs stage 1 would send. */
  session(ref: string, items: readonly string[], ts: number, segments: readonly string[] = []): this {
    items.forEach((item, i) => {
      const at = ts + i * 1000;
      this.tell(met(item, at, { sessionRef: hash32(ref), segments }));
      for (const other of items.slice(0, i))
        this.tell(pair(other, item, at), pair(item, other, at, { following: false }));
    });
    return this;
  }
}

export function person(fields: Partial<UserSnapshotLike> = {}): UserSnapshotLike {
  return {
    sessionItems: [],
    recentItems: [],
    seen: () => false,
    blockedItems: new Set(),
    categoryAffinities: [],
    segments: [],
    embedding: undefined,
    embeddingSpace: undefined,
    ...fields,
  };
}
