/** The item tables as the edge sees them, and people's rows as retrieval sees them. */
import { describe, expect, it } from 'vitest';
import { tableKey } from '../../../operators/item/table-key.js';
import { encodeRecord } from '../../../schemas/codec.js';
import type { ItemCatalogueStateDraft } from '../../../schemas/records.js';
import { createCatalogue, createItemStateApply } from '../../../serving/node/item-state.js';
import { createSnapshotOf } from '../../../serving/node/stage-users.js';
import { ItemTables } from '../../../serving/tables/item-tables.js';

function setup() {
  const tables = new ItemTables();
  const withdrawn: string[] = [];
  const apply = createItemStateApply(tables, (ids) => withdrawn.push(...ids));
  const send = (value: Buffer, version: number): void =>
    apply({
      offset: 0,
      key: tableKey('x', 'catalogue'),
      value,
      timestamp: 0,
      origin: { source: 's', operator: 'catalogue', offset: version, index: 0 },
    });
  const put = (draft: Partial<ItemCatalogueStateDraft> & { version: number }): void =>
    send(encodeRecord('ItemCatalogueState', { itemId: 'x', deleted: false, ...draft }), draft.version);
  return { catalogue: createCatalogue(tables), withdrawn, send, put };
}

describe('item state', () => {
  it('becomes cards, and says which items must leave open feeds', () => {
    const { catalogue, withdrawn, put } = setup();
    expect([catalogue.isKnown('x'), catalogue.isServable('x'), catalogue.card('x')]).toEqual([false, true, undefined]);
    put({ version: 1, title: 'X', categories: ['news'], price: 3, currency: 'EUR' });
    expect(catalogue.card('x')).toEqual({
      itemId: 'x',
      title: 'X',
      category: 'news',
      price: 3,
      currency: 'EUR',
      imageUrl: null,
    });
    put({ version: 2, available: false });
    expect([withdrawn, catalogue.isServable('x'), catalogue.isKnown('x')]).toEqual([['x'], false, true]);
    put({ version: 4, available: true });
    put({ version: 3, deleted: true });
    expect([withdrawn, catalogue.isServable('x')]).toEqual([['x'], true]);
    put({ version: 5, deleted: true });
    expect([withdrawn, catalogue.isServable('x')]).toEqual([['x', 'x'], false]);
  });

  it('takes a withdrawn key at the version of its origin', () => {
    const { catalogue, put, send } = setup();
    put({ version: 7, title: 'X' });
    send(Buffer.alloc(0), 6);
    expect(catalogue.card('x')?.title).toBe('X');
    send(Buffer.alloc(0), 8);
    expect(catalogue.card('x')).toBeUndefined();
  });
});

describe('a person nobody knows', () => {
  it('has an empty snapshot', () => {
    const snapshot = createSnapshotOf({ sessionGapMs: 1_800_000, affinityHalfLifeMs: 86_400_000 })(undefined, 0, 'ada');
    expect(snapshot).toMatchObject({ sessionItems: [], recentItems: [], segments: [] });
    expect(snapshot.seen('x')).toBe(false);
  });
});
