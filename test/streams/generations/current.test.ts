/** The log of the generation in force: held, gone over, and never acknowledging what nobody may look at. */
import { beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../../streams/clock.js';
import { ForwardingLog } from '../../../streams/forwarding.js';
import { CurrentLog } from '../../../streams/generations/current.js';
import { LayoutChange } from '../../../streams/generations/layout-change.js';
import { readLayout, repartitioning, requireOpen } from '../../../streams/generations/layout.js';
import type { Layout } from '../../../streams/generations/layout.js';
import { viewOf } from '../../../streams/generations/views.js';
import type { AppendReceipt, Hint, OutgoingRecord } from '../../../streams/log/event-log.js';
import { MemoryLog } from '../../../streams/memory/memory-log.js';
import { MemoryStore } from '../../../streams/memory/memory-store.js';

const TOPIC = 'clicks';
const HINTS = 'hints';
const RECORD = { key: 'k', value: Buffer.from('v') };

/** Appends are in the log at once, and answered when the test says so: as by a process that stands still in between. */
class SlowLog extends ForwardingLog {
  private readonly waiting: (() => void)[] = [];
  isSlow = false;

  override async append(topic: string, records: readonly OutgoingRecord[]): Promise<readonly AppendReceipt[]> {
    const receipts = await super.append(topic, records);
    if (this.isSlow) await new Promise<void>((resolve) => this.waiting.push(resolve));
    return receipts;
  }

  answer(): void {
    for (const resolve of this.waiting.splice(0)) resolve();
  }
}

describe('the log of the generation in force', () => {
  let physical: { log: SlowLog; store: MemoryStore };
  let log: CurrentLog;

  beforeEach(async () => {
    const memory = new MemoryLog({ clock: new ManualClock(), identity: 'first' });
    physical = { log: new SlowLog(memory), store: new MemoryStore({ delivery: 'outbox' }) };
    const layout = await readLayout(physical);
    log = new CurrentLog(viewOf(physical, { layout }, []).log, confirmOf(layout));
    await log.createTopics([
      { name: TOPIC, partitions: 2, class: 'event' },
      { name: HINTS, partitions: 2, class: 'hint' },
    ]);
  });

  function confirmOf({ inForce }: Layout) {
    return async (): Promise<void> => requireOpen(await readLayout(physical), inForce);
  }

  /** Puts another generation in force, as a repartition does. */
  async function flip(): Promise<Layout> {
    const change = await LayoutChange.open(physical);
    await change.update(({ format, generations }) => {
      const number = generations.length + 1;
      const next = { number, identity: `generation ${number}`, topics: [HINTS, TOPIC], hasServed: true };
      return { format, inForce: number, generations: [...generations, next] };
    });
    const { layout } = change;
    await viewOf(physical, { layout }, []).log.createTopics([
      { name: TOPIC, partitions: 3, class: 'event' },
      { name: HINTS, partitions: 3, class: 'hint' },
    ]);
    return layout;
  }

  it('refuses appends while it is held, once those under way have ended', async () => {
    physical.log.isSlow = true;
    const underWay = log.append(TOPIC, [RECORD]);
    let isHeld = false;
    const holding = log.hold(repartitioning()).then(() => (isHeld = true));
    await expect(log.append(TOPIC, [RECORD])).rejects.toMatchObject({ code: 'REPARTITIONING', retriable: true });
    expect(log.refusal?.code).toBe('REPARTITIONING');
    expect(isHeld).toBe(false);
    physical.log.answer();
    expect(await underWay).toHaveLength(1);
    await holding;
    physical.log.isSlow = false;
    log.resume();
    expect(log.refusal).toBeUndefined();
    expect(await log.append(TOPIC, [RECORD])).toEqual([{ partition: expect.any(Number) as number, offset: 1 }]);
  });

  it('acknowledges nothing that came to lie in a generation that is closing, or not in force any more', async () => {
    const change = await LayoutChange.open(physical);
    const steps: [what: string, step: () => Promise<unknown>, isTaken: boolean][] = [
      ['nothing', () => Promise.resolve(), true],
      ['announced', () => change.announce('a'), false],
      ['announced and taken back', () => change.withdraw(), true],
      ['another generation', flip, false],
    ];
    physical.log.isSlow = true;
    for (const [what, step, isTaken] of steps) {
      const appended = log.append(TOPIC, [RECORD]).then(
        () => true,
        (error: { code: string }) => error.code,
      );
      await step();
      physical.log.answer();
      expect([what, await appended]).toEqual([what, isTaken ? true : 'REPARTITIONING']);
    }
  });

  it('asks for the generation that it appended to, though it has gone over meanwhile', async () => {
    physical.log.isSlow = true;
    const appended = log.append(TOPIC, [RECORD]);
    const layout = await flip();
    log.switchTo(viewOf(physical, { layout }, []).log, confirmOf(layout));
    physical.log.answer();
    await expect(appended).rejects.toMatchObject({ code: 'REPARTITIONING' });
    physical.log.isSlow = false;
    expect((await log.append(TOPIC, [RECORD]))[0]!.offset).toBe(0);
  });

  it('takes its listeners along', async () => {
    const heard: string[] = [];
    const hint = (partition: number): Hint => ({ key: 'k', partition, offset: 1, eventIds: [] });
    const unsubscribe = [
      log.onAppend(TOPIC, (partitions) => heard.push(`append ${[...(partitions ?? [])].join()}`)),
      log.onHints(HINTS, (hints) => heard.push(`hint ${hints[0]?.partition}`)),
    ];
    const layout = await flip();
    const next = viewOf(physical, { layout }, []).log;
    log.switchTo(next, confirmOf(layout));
    expect([log.identity, log.topic(TOPIC).partitions]).toEqual(['generation 2', 3]);
    await next.append(TOPIC, [{ ...RECORD, partition: 2 }]);
    next.sendHints(HINTS, [hint(2)]);
    await Promise.resolve();
    expect(heard).toEqual(['append 2', 'hint 2']);
    for (const stop of unsubscribe) stop();
    await next.append(TOPIC, [RECORD]);
    next.sendHints(HINTS, [hint(1)]);
    await Promise.resolve();
    expect(heard).toHaveLength(2);
  });
});
