/** The benchmark's mix: same bytes for the same seed, exact shares, records that decode, fast enough not to be in the way. */
import { describe, expect, it } from 'vitest';
import { createMix, MIX_DECK, type Mix, type MixOptions } from '../../../jobs/simulate/mix.js';
import type { TrafficRecord } from '../../../jobs/simulate/traffic-records.js';
import { decodeRecord } from '../../../schemas/codec.js';

const SMALL: MixOptions = { items: 300, users: 200 };
const take = (mix: Mix, batches: number): TrafficRecord[] =>
  Array.from({ length: batches }, () => mix.nextBatch()).flat();
const bytesOf = (records: readonly TrafficRecord[]): Buffer => Buffer.concat(records.map((record) => record.value));

describe('the mix', () => {
  it('gives the same bytes and keys for the same seed and others for another', () => {
    const first = take(createMix(1, SMALL), 20);
    const again = take(createMix(1, SMALL), 20);
    expect(bytesOf(again).equals(bytesOf(first))).toBe(true);
    expect(again.map((record) => record.key)).toEqual(first.map((record) => record.key));
    expect(bytesOf(take(createMix(2, SMALL), 20)).equals(bytesOf(first))).toBe(false);
  });

  it('is one viewed impression of ten distinct items to three interactions, types exactly as dealt', () => {
    const mix = createMix(3, SMALL);
    // 100 batches of 50 groups: 15,000 interactions, 150 decks.
    const records = take(mix, 100).map((record) => ({ record, decoded: decodeRecord(record.value) }));
    const types = new Map<string, number>();
    let requestId = '';
    records.forEach(({ record, decoded }, i) => {
      if (i % 4 === 0) {
        if (decoded.kind !== 'Impression') throw new Error(`Record ${i} is ${decoded.kind}`);
        expect(decoded.stage).toBe('viewed');
        expect(new Set(decoded.slate.map((place) => place.itemId)).size).toBe(10);
        requestId = decoded.requestId;
      } else {
        if (decoded.kind !== 'Interaction') throw new Error(`Record ${i} is ${decoded.kind}`);
        types.set(decoded.type, (types.get(decoded.type) ?? 0) + 1);
        expect(decoded.attribution?.requestId).toBe(decoded.type === 'view' ? undefined : requestId);
      }
      expect(record).toMatchObject({ stream: 'user', key: (decoded as { userId: string }).userId });
    });
    for (const [type, share] of Object.entries(MIX_DECK)) expect([type, types.get(type)]).toEqual([type, share * 150]);
    expect(mix.counts).toEqual({
      interactions: 15_000,
      impressions: 5_000,
      identifies: 0,
      profiles: 0,
      bytes: bytesOf(records.map(({ record }) => record)).length,
    });
  });

  it('never uses an event id twice, and lets visitors log in when asked to', () => {
    const mix = createMix(4, { ...SMALL, loginEvery: 300 });
    const records = take(mix, 20);
    const decoded = records.map((record) => decodeRecord(record.value));
    expect(new Set(decoded.map((record) => (record as { eventId: string }).eventId)).size).toBe(records.length);
    const keys = new Set<string>();
    records.forEach((record, i) => {
      const value = decoded[i]!;
      if (value.kind === 'Identify') {
        expect(record.key).toBe(value.anonymousId);
        expect(keys.has(value.anonymousId)).toBe(true);
      }
      keys.add(record.key);
    });
    expect(mix.counts.identifies).toBeGreaterThanOrEqual(10);
    expect(mix.counts.profiles).toBe(mix.counts.identifies);
  });

  it('takes event times from the caller, and is iterable', () => {
    let now = 1_700_000_000_000;
    const mix = createMix(5, { ...SMALL, batchGroups: 2, now: () => (now += 10) });
    for (const batch of mix) {
      const times = batch.map((record) => (decodeRecord(record.value) as { ts: number }).ts - 1_700_000_000_000);
      expect(times).toEqual([10, 11, 12, 13, 20, 21, 22, 23]);
      break;
    }
  });
});
