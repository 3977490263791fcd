/** Traffic into a target: reproducible when unpaced, on the second when paced, complete records, bounded when the target is slow. */
import { describe, expect, it } from 'vitest';
import { runTraffic, type TrafficTarget } from '../../../jobs/simulate/traffic.js';
import type { TrafficRecord } from '../../../jobs/simulate/traffic-records.js';
import { createWorld, type World } from '../../../jobs/simulate/world.js';
import { decodeRecord } from '../../../schemas/codec.js';
import type { AnyRecord } from '../../../schemas/records.js';
import { ManualClock } from '../../../streams/clock.js';

const small = (seed: string | number, more = {}): World => createWorld({ seed, items: 200, users: 100, ...more });

class Recorder implements TrafficTarget {
  readonly records: TrafficRecord[] = [];
  publish(records: readonly TrafficRecord[]): Promise<void> {
    this.records.push(...records);
    return Promise.resolve();
  }
  get decoded(): AnyRecord[] {
    return this.records.map((record) => decodeRecord(record.value));
  }
}

class Recommending extends Recorder {
  requests = 0;
  constructor(private readonly world: World) {
    super();
  }
  recommend() {
    const random = this.world.stream(`slate-${this.requests++}`);
    const items = this.world.randomSlate(10, random).map((item) => ({ itemId: this.world.catalogue.ids[item]! }));
    return Promise.resolve({ requestId: `edge-${this.requests}`, items });
  }
}

const unpaced = async (seed: string, events: number, more = {}) => {
  const target = new Recorder();
  const counts = await runTraffic(small(seed, more), target, { clock: new ManualClock(), events });
  return { target, counts };
};

describe('unpaced traffic', () => {
  it('gives the same bytes for the same seed, on a world driven before as well', async () => {
    const bytes = (target: Recorder) => Buffer.concat(target.records.map((record) => record.value));
    const first = bytes((await unpaced('a', 3_000)).target);
    expect(bytes((await unpaced('a', 3_000)).target).equals(first)).toBe(true);
    expect(bytes((await unpaced('b', 3_000)).target).equals(first)).toBe(false);
    const world = small('a');
    await runTraffic(world, new Recorder(), { clock: new ManualClock(), events: 500 });
    const again = new Recorder();
    await runTraffic(world, again, { clock: new ManualClock(), events: 3_000 });
    expect(bytes(again).equals(first)).toBe(true);
  });

  it('sends the catalogue first, then events in order of time, all under the right key, and counts them', async () => {
    const { target, counts } = await unpaced('c', 4_000, { upcomingShare: 0.2 });
    const kinds = target.decoded.map((record) => record.kind);
    expect(kinds.slice(0, 160)).toEqual(new Array(160).fill('ItemUpsert'));
    expect(counts.items).toBeGreaterThan(160);
    const count = (kind: string) => kinds.filter((found) => found === kind).length;
    expect(count('Interaction')).toBe(counts.interactions);
    expect(count('Impression')).toBe(counts.impressions + counts.served);
    expect(count('ItemUpsert')).toBe(counts.items);
    expect(counts.interactions + counts.impressions + counts.served + counts.identifies + counts.profiles).toBe(4_000);
    expect(counts.published).toBe(target.records.length);
    const times = target.decoded.slice(160).map((record) => (record as { ts: number }).ts);
    expect(times).toEqual([...times].sort((a, b) => a - b));
    target.decoded.forEach((record, i) => {
      const key = record.kind === 'ItemUpsert' ? record.itemId : record.kind === 'Identify' ? record.anonymousId : '';
      expect(target.records[i]!.key).toBe(key || (record as { userId: string }).userId);
      expect(target.records[i]!.stream).toBe(record.kind === 'ItemUpsert' ? 'item' : 'user');
    });
  });

  it('lets anonymous people act, log in later, and go on under their account', async () => {
    const { target } = await unpaced('d', 8_000, { anonymousShare: 1 });
    const records = target.decoded;
    const identify = records.find((record) => record.kind === 'Identify')!;
    const at = records.indexOf(identify);
    const userOf = (record: AnyRecord) => (record.kind === 'Interaction' ? record.userId : undefined);
    expect(records.filter((record) => record.kind === 'Identify').length).toBeGreaterThan(10);
    expect(records.slice(at + 1).map(userOf)).not.toContain(identify.anonymousId);
    const after = records.slice(at + 1).find((record) => userOf(record) === identify.userId);
    expect(after).toMatchObject({ anonymousId: identify.anonymousId });
    expect(records.slice(0, at).map(userOf)).not.toContain(identify.userId);
    expect(records.some((record) => record.kind === 'UserUpsert' && record.userId === identify.userId)).toBe(true);
  });

  it('writes served and viewed for slates of its own, viewed alone for those of the target', async () => {
    const { counts } = await unpaced('e', 2_000);
    expect(counts.served).toBe(counts.slates);
    const world = small('e');
    const target = new Recommending(world);
    const asked = await runTraffic(world, target, { clock: new ManualClock(), events: 2_000 });
    expect(asked.served).toBe(0);
    expect(asked.slates).toBe(target.requests);
    const viewed = target.decoded.filter((record) => record.kind === 'Impression');
    expect(viewed.every((record) => record.stage === 'viewed' && record.requestId.startsWith('edge-'))).toBe(true);
  });

  it('rejects with the fault of the target, or goes on when told what to do with it', async () => {
    const fault = new Error('full');
    const target = { publish: () => Promise.reject(fault) };
    const clock = new ManualClock();
    await expect(runTraffic(small(1), target, { clock, events: 500 })).rejects.toBe(fault);
    const seen: unknown[] = [];
    const counts = await runTraffic(small(1), target, { clock, events: 500, onFault: (error) => seen.push(error) });
    expect(counts.published).toBe(0);
    expect(counts.faults).toBe(seen.length);
    expect(seen).toContain(fault);
  });
});

describe('paced traffic', () => {
  it('keeps its rate by the clock and stamps records with the clock’s time', async () => {
    const clock = new ManualClock();
    const world = small('paced');
    const target = new Recommending(world);
    const stop = new AbortController();
    const options = { clock, ratePerSecond: 200, signal: stop.signal, catalogue: false };
    const run = runTraffic(world, target, options);
    await clock.advance(5_000);
    const users = () => target.records.filter((record) => record.stream === 'user');
    expect(users().length).toBeGreaterThanOrEqual(990);
    expect(users().length).toBeLessThanOrEqual(1_000);
    for (const record of target.decoded) {
      expect((record as { ts: number }).ts).toBeGreaterThanOrEqual(clock.now() - 5_000);
      expect((record as { ts: number }).ts).toBeLessThanOrEqual(clock.now());
    }
    stop.abort();
    await clock.advance(100);
    expect((await run).published).toBe(target.records.length);
    expect(clock.pendingTimers).toBe(0);
  });

  it('holds no more than its bound when the target takes nothing, and says how late it is', async () => {
    const clock = new ManualClock();
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    let inFlight = 0;
    const target = { publish: () => (inFlight++, held) };
    const stop = new AbortController();
    const options = { clock, ratePerSecond: 10_000, signal: stop.signal, catalogue: false, runId: 'r' };
    const run = runTraffic(small('slow'), target, options);
    await clock.advance(4_000);
    expect(inFlight).toBe(1);
    stop.abort();
    release();
    await clock.advance(100);
    const counts = await run;
    expect(counts.published).toBeLessThan(20_500);
    expect(counts.behindMost).toBeGreaterThan(15_000);
  });

  it('refuses a rate that is none', async () => {
    const options = { clock: new ManualClock(), ratePerSecond: 0 };
    expect(() => runTraffic(small(1), new Recorder(), options)).toThrow(/ratePerSecond is 0/);
  });
});
