import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { createItemOperators } from '../../../operators/item/index.js';
import type { AnyRecord } from '../../../schemas/records.js';
import { decodeRecord } from '../../../schemas/codec.js';
import { ItemInterner } from '../../../serving/tables/item-interner.js';
import { ItemTables } from '../../../serving/tables/item-tables.js';
import { SessionMap } from '../../../serving/tables/session-map.js';
import { TopList } from '../../../serving/tables/top-list.js';
import { TopN } from '../../../serving/tables/top-n.js';
import { VectorKernels } from '../../../serving/tables/vector-kernels.js';
import { ExactVectorSearch } from '../../../serving/tables/vector-search.js';
import { ItemVectorTable } from '../../../operators/item-vectors.js';
import type { Published } from '../../operators/item/direct-stage.js';
import { DirectStage } from '../../operators/item/direct-stage.js';
import { deleted, HOUR, met, MINUTE, pair, T0, upserted } from '../../operators/item/item-records.js';

const byIndex = { precedes: (left: number, right: number): boolean => left < right };
const scored = fc.array(fc.tuple(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 12 })), { maxLength: 120 });

describe('TopList', () => {
  it('is the exact beginning of the full ranking, whatever is raised, lowered or removed', () => {
    fc.assert(
      fc.property(scored, (updates) => {
        const list = new TopList(8, byIndex);
        const all = new Map<number, number>();
        for (const [item, score] of updates) {
          if (score === 0) all.delete(item);
          else all.set(item, score);
          list.update(item, score === 0 ? -Infinity : score);
          const naive = [...all].sort((a, b) => b[1] - a[1] || a[0] - b[0]);
          expect(Array.from({ length: list.length }, (_, i) => [list.items[i], list.scores[i]])).toEqual(
            naive.slice(0, list.length),
          );
          expect(list.isShort || list.length >= Math.min(4, naive.length)).toBe(true);
        }
      }),
    );
  });
});

describe('SessionMap', () => {
  it('behaves as a Map does', () => {
    const operation = fc.tuple(fc.constantFrom('set', 'delete'), fc.integer({ min: 0, max: 60 }), fc.nat(1000));
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 300 }), (operations) => {
        const map = new SessionMap(4);
        const model = new Map<number, number>();
        for (const [what, key, slot] of operations) {
          const ref = key * 2 ** 40 + key;
          if (what === 'set') model.set(ref, slot);
          else model.delete(ref);
          if (what === 'set') map.set(ref, slot);
          else map.delete(ref);
        }
        expect(map.size).toBe(model.size);
        for (let key = 0; key <= 60; key++)
          expect(map.get(key * 2 ** 40 + key)).toBe(model.get(key * 2 ** 40 + key) ?? -1);
      }),
    );
  });
});

describe('ExactVectorSearch', () => {
  it.each([32, 30, 3])('finds the same items as computing every product, of %i dimensions', (dimensions) => {
    const number = fc.double({ min: -1, max: 1, noNaN: true });
    const word = fc.array(number, { minLength: dimensions, maxLength: dimensions });
    fc.assert(
      // More rows than the table begins with.
      fc.property(fc.array(word, { minLength: 1, maxLength: 400, size: '+1' }), word, (words, wanted) => {
        const kernels = new VectorKernels(dimensions);
        const allocate = (length: number): Float32Array => kernels.rows(length);
        const vectors = new ItemVectorTable({ space: 's', dimensions, allocate });
        const interner = new ItemInterner(1000);
        words.forEach((numbers, i) => {
          interner.intern(`i${i}`);
          vectors.upsert(`i${i}`, 1, Float32Array.from(numbers));
        });
        const query = Float32Array.from(wanted);
        const found = new TopN(5, interner);
        new ExactVectorSearch(vectors, interner, kernels).search(query, found);
        found.sort();
        const naive = words.map((_, i) => vectors.dot(i, query)).sort((a, b) => b - a);
        for (let i = 0; i < found.length; i++) expect(found.scores[i]).toBeCloseTo(naive[i]!, 5);
        expect(found.length).toBe(Math.min(5, words.length));
      }),
      { numRuns: 50 },
    );
  });

  it('visits no more than the latest rows', () => {
    const kernels = new VectorKernels(4, 3);
    const vectors = new ItemVectorTable({ space: 's', dimensions: 4, allocate: (length) => kernels.rows(length) });
    const interner = new ItemInterner(10);
    for (let i = 0; i < 5; i++) {
      interner.intern(`i${i}`);
      vectors.upsert(`i${i}`, 1, Float32Array.of(5 - i, 0, 0, 0));
    }
    const found = new TopN(5, interner);
    new ExactVectorSearch(vectors, interner, kernels).search(Float32Array.of(1, 0, 0, 0), found);
    found.sort();
    expect(Array.from(found.items.subarray(0, found.length), (item) => interner.idOf(item))).toEqual([
      'i2',
      'i3',
      'i4',
    ]);
    expect([...found.scores.subarray(0, found.length)]).toEqual([3, 2, 1]);
  });
});

/** What serving can tell of a set of items: equal for equal contents. */
function digest(tables: ItemTables, ids: readonly string[]): unknown {
  return ids.map((id) => {
    const item = tables.items.indexOf(id);
    const slots = new Int32Array(64);
    const found = item < 0 ? 0 : tables.sessions.latestSlots(item, slots, 64);
    const start = tables.neighbours.startOf(item);
    const { itemsPerSession } = tables.sessions;
    return {
      isServable: item < 0 || tables.catalogue.isServable(item),
      counts: tables.popularity.halfLivesMs.map((_, h) =>
        item < 0 ? 0 : tables.popularity.countAt(item, h, T0 + HOUR),
      ),
      neighbours: Array.from({ length: tables.neighbours.countOf(item) }, (_, i) =>
        tables.items.idOf(tables.neighbours.items[start + i]!),
      ),
      sessions: Array.from(slots.subarray(0, found), (slot) =>
        Array.from(
          tables.sessions.items.subarray(
            slot * itemsPerSession,
            slot * itemsPerSession + tables.sessions.lengths[slot]!,
          ),
          (other) => tables.items.idOf(other),
        ),
      ),
    };
  });
}

function applyTo(tables: ItemTables, { key, value, version }: Published): void {
  if (value.length === 0) tables.withdraw(key, version);
  else tables.apply(decodeRecord(value));
}

describe('ItemTables', () => {
  const ids = ['i0', 'i1', 'i2', 'i3'];
  const signal = fc.record({
    item: fc.constantFrom(...ids),
    other: fc.constantFrom(...ids),
    what: fc.nat(9),
    gap: fc.integer({ min: 0, max: MINUTE }),
    session: fc.nat(6),
  });

  it('holds the same whatever order records arrive in, and however often', () => {
    fc.assert(
      fc.property(fc.array(signal, { maxLength: 60 }), fc.integer(), (signals, seed) => {
        const stage = new DirectStage(createItemOperators({ topic: 't', space: 's' }));
        let now = T0;
        for (const { item, other, what, gap, session } of signals) {
          now += gap;
          if (what === 0) stage.process(deleted(item, now), item);
          else if (what === 1) stage.process(upserted(item, now, { categories: [other] }), item);
          else if (what < 5) stage.process(pair(item, other, now), item);
          else stage.process(met(item, now, { sessionRef: session }), item);
        }
        // Compaction keeps the last value of a key.
        const compacted = [...new Map(stage.published.map((published) => [published.key, published])).values()];
        const inOrder = new ItemTables();
        for (const published of compacted) applyTo(inOrder, published);
        const shuffled = new ItemTables();
        const mixed = [...stage.published, ...compacted].map(
          (published, i) => [Math.sin(seed + i * 7), published] as const,
        );
        const isCompactedOnly = seed % 2 === 0;
        const chosen = isCompactedOnly ? mixed.filter(([, published]) => compacted.includes(published)) : mixed;
        for (const [, published] of chosen.sort((a, b) => a[0] - b[0])) applyTo(shuffled, published);
        if (isCompactedOnly) expect(digest(shuffled, ids)).toEqual(digest(inOrder, ids));
        else expect(stripSessions(digest(shuffled, ids))).toEqual(stripSessions(digest(inOrder, ids)));
      }),
      { numRuns: 100 },
    );
  });

  it('takes the later of two values of one version: two commits can be made at one offset', () => {
    const tables = new ItemTables();
    const item = 'a';
    const value = (title: string) => ({
      kind: 'ItemNeighboursState' as const,
      itemId: item,
      version: 7,
      refTime: T0,
      total: 2,
      neighbours: [{ kind: 'Neighbour' as const, itemId: title, weight: 1 }],
    });
    expect(tables.apply(value('x'))).toBe(true);
    expect(tables.apply(value('y'))).toBe(true);
    const neighbour = tables.neighbours.items[tables.neighbours.startOf(tables.items.indexOf(item))]!;
    expect(tables.items.idOf(neighbour)).toBe('y');
  });

  it('takes a deleted item off its lists and brings it back with its next entry', () => {
    const tables = new ItemTables();
    const stage = new DirectStage(createItemOperators({ topic: 't', space: 's' }), (published) =>
      applyTo(tables, published),
    );
    stage.process(upserted('a', T0, { categories: ['x'] }), 'a');
    stage.process(met('a', T0), 'a');
    const item = tables.items.indexOf('a');
    const category = tables.catalogue.indexOfCategory('x');
    expect(tables.popularity.topOfCategory(category, 0)!.length).toBe(1);
    stage.process(deleted('a', T0 + 1), 'a');
    expect(tables.catalogue.isServable(item)).toBe(false);
    expect(tables.popularity.top(0).length).toBe(0);
    expect(tables.popularity.topOfCategory(category, 0)!.length).toBe(0);
    stage.process(upserted('a', T0 + 2, { categories: ['x'] }), 'a');
    stage.process(met('a', T0 + 2), 'a');
    expect(tables.catalogue.isServable(item)).toBe(true);
    expect(tables.popularity.topOfCategory(category, 0)!.length).toBe(1);
  });

  it('ranks every half-life as counting each item by itself does', () => {
    const visits = fc.array(fc.tuple(fc.nat(20), fc.integer({ min: 0, max: 10 * MINUTE })), {
      minLength: 1,
      maxLength: 150,
    });
    fc.assert(
      fc.property(visits, (drawn) => {
        const tables = new ItemTables();
        const stage = new DirectStage(
          createItemOperators({ topic: 't', space: 's', popularity: { epsilon: 0 } }),
          (published) => applyTo(tables, published),
        );
        let now = T0;
        const seen: [string, number][] = [];
        for (const [item, gap] of drawn) {
          now += gap;
          seen.push([`i${item}`, now]);
          stage.process(met(`i${item}`, now), `i${item}`);
        }
        tables.popularity.halfLivesMs.forEach((halfLife, h) => {
          const counts = new Map<string, number>();
          for (const [id, at] of seen) counts.set(id, (counts.get(id) ?? 0) + 2 ** ((at - now) / halfLife));
          const list = tables.popularity.top(h);
          const listed = Array.from({ length: list.length }, (_, i) => counts.get(tables.items.idOf(list.items[i]!))!);
          const naive = [...counts.values()].sort((a, b) => b - a);
          listed.forEach((count, i) => expect(count).toBeCloseTo(naive[i]!, 6));
        });
      }),
      { numRuns: 40 },
    );
  });

  it('keeps a bounded number of sessions, the latest', () => {
    const tables = new ItemTables({ sessions: { sessionsMax: 10, itemsPerSession: 3 } });
    const stage = new DirectStage(createItemOperators({ topic: 't', space: 's' }), (published) =>
      applyTo(tables, published),
    );
    for (let i = 0; i < 50; i++) stage.process(met('a', T0 + i, { sessionRef: i }), 'a');
    for (let i = 0; i < 5; i++) stage.process(met(`b${i}`, T0 + 100 + i, { sessionRef: 49 }), `b${i}`);
    const slots = new Int32Array(100);
    const found = tables.sessions.latestSlots(tables.items.indexOf('a'), slots, 100);
    expect(tables.sessions.sessionCount).toBe(10);
    expect(Array.from(slots.subarray(0, found), (slot) => tables.sessions.refOf(slot))).toEqual([
      49, 48, 47, 46, 45, 44, 43, 42, 41, 40,
    ]);
    expect(tables.sessions.lengths[slots[0]!]).toBe(3);
  });

  it('refuses items beyond its bound and says so', () => {
    const tables = new ItemTables({ itemsMax: 2 });
    const stage = new DirectStage(createItemOperators({ topic: 't', space: 's' }), (published) =>
      applyTo(tables, published),
    );
    for (const id of ['a', 'b', 'c']) stage.process(met(id, T0), id);
    expect(tables.usage().items).toBe(2);
    expect(tables.usage().itemsRefused).toBeGreaterThan(0);
  });

  it('ignores records of other topics', () => {
    expect(new ItemTables().apply(met('a', T0) as AnyRecord)).toBe(false);
  });
});

/** Blocks replaced on the way leave earlier sessions in `session → items`; only what rings name is compared. */
function stripSessions(value: unknown): unknown {
  return (value as { sessions: unknown }[]).map((entry) => ({ ...entry, sessions: undefined }));
}
