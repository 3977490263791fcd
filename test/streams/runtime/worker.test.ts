/** A worker whose task was fenced: it goes on by itself, but only as somebody whom the group confirms. */
import { describe, expect, it } from 'vitest';
import { EngineError } from '../../../schemas/errors.js';
import { ManualClock } from '../../../streams/clock.js';
import type { Clock } from '../../../streams/clock.js';
import type { AssignmentListener, Membership } from '../../../streams/log/event-log.js';
import { silentLogger } from '../../../streams/logger.js';
import { MemoryLog } from '../../../streams/memory/memory-log.js';
import { MemoryStore } from '../../../streams/memory/memory-store.js';
import { Politeness } from '../../../streams/politeness.js';
import { seededRandom } from '../../../streams/random.js';
import { buildTopology } from '../../../streams/runtime/topology.js';
import { StreamWorker } from '../../../streams/runtime/worker.js';
import type { TopicSpec } from '../../../streams/log/event-log.js';
import { count, countingStage, DEAD_LETTERS, HINTS, INPUT, OUTPUT, TABLE, totalOperator } from './counting-stage.js';

const ALL = { recordsMax: Infinity, bytesMax: Infinity };
const TASK = { stage: 'counting', partition: 0 };
const topic = (name: string, kind: TopicSpec['class'] = 'event'): TopicSpec => ({ name, partitions: 1, class: kind });

/** A log whose group confirms memberships when the test says so. */
class SlowGroupLog extends MemoryLog {
  confirm: () => void = () => undefined;
  listener: AssignmentListener = () => Promise.resolve();

  override async join(group: string, name: string, listener: AssignmentListener): Promise<Membership> {
    this.listener = listener;
    const membership = await super.join(group, name, listener);
    const confirmed = (): Promise<void> => new Promise((resolve) => (this.confirm = resolve));
    return { leave: () => membership.leave(), confirmed };
  }
}

/** Counts how often work says that it is through with its input. */
class ToldPoliteness extends Politeness {
  caughtUp = 0;

  override backgroundClock(): Required<Clock> {
    return Object.assign(super.backgroundClock(), { caughtUp: () => void this.caughtUp++ });
  }
}

async function startWorker(changes: Partial<Parameters<typeof countingStage>[0]> = {}) {
  const clock = new ManualClock();
  const log = new SlowGroupLog({ clock });
  log.createTopicsNow([topic(INPUT), topic(OUTPUT), topic(DEAD_LETTERS), topic(TABLE, 'table'), topic(HINTS, 'hint')]);
  const store = new MemoryStore({ delivery: 'outbox' });
  const errors: unknown[] = [];
  const onStopped = (error: unknown): void => void errors.push(error);
  const topology = buildTopology('counting', [countingStage({ operators: [totalOperator], ...changes })]);
  const environment = { log, store, clock, random: seededRandom('worker') };
  const politeness = new ToldPoliteness(clock);
  const worker = new StreamWorker(topology, environment, { logger: silentLogger, onStopped }, politeness);
  const before = store.checkpoint();
  await worker.start();
  log.appendNow(INPUT, [count('a', 1)]);
  await clock.advance(1_000);
  const totals = (): string[] => log.readNow(OUTPUT, 0, 0, ALL).records.map(({ value }) => value.toString());
  return { clock, log, store, worker, errors, before, totals, politeness };
}

describe('a worker whose store fell back', () => {
  it('drops the task and acquires it again, once its group has confirmed it', async () => {
    const { clock, log, store, worker, errors, before, totals } = await startWorker();
    store.rollback(before);
    await clock.advance(60_000);
    expect(store.headNow(TASK)).toBeUndefined();
    log.confirm();
    log.appendNow(INPUT, [count('a', 2)]);
    await clock.advance(1_000);
    expect(store.headNow(TASK)?.offset).toBe(2);
    expect(totals()).toEqual(['total 1', 'again 1', 'total 1', 'again 1', 'total 2', 'again 2']);
    expect(errors).toEqual([]);
    await worker.stop();
  });
});

describe('a worker that another owner went past', () => {
  it('leaves the task alone when it hears of its loss instead', async () => {
    const { clock, log, store, worker, errors } = await startWorker();
    store.acquireNow(TASK, 'the other owner');
    log.appendNow(INPUT, [count('a', 2)]);
    await clock.advance(10_000);
    await log.listener([]);
    log.confirm();
    await clock.advance(10_000);
    expect(store.checkpoint().tasks.get('counting/0')?.owner).toBe('the other owner');
    expect(errors).toEqual([]);
    await worker.stop();
  });
});

describe('a worker of a stage that lingers', () => {
  it.each([
    { commitMs: 1, restMs: 50 },
    { commitMs: 60, restMs: 120 },
    { commitMs: 1_000, restMs: 250 },
  ])('rests $restMs ms after a batch of $commitMs ms', async ({ commitMs, restMs }) => {
    const { clock, log, store, worker } = await startWorker({ lingerMs: 50 });
    const commit = store.commit.bind(store);
    const committed: number[] = [];
    store.commit = async (...commitment) => {
      log.appendNow(INPUT, [count('a', 1)]);
      await clock.sleep(commitMs);
      committed.push(clock.monotonic());
      return commit(...commitment);
    };
    log.appendNow(INPUT, [count('a', 1)]);
    await clock.advance(10_000);
    const gaps = committed.slice(1).map((at, i) => at - committed[i]!);
    expect(new Set(gaps)).toEqual(new Set([commitMs + restMs]));
    const stopped = worker.stop();
    await clock.advance(commitMs);
    await stopped;
  });

  it('lets input gather after a batch that met the end, also when more came meanwhile', async () => {
    const { clock, log, store, worker } = await startWorker({ lingerMs: 50 });
    const commit = store.commit.bind(store);
    let commits = 0;
    // Something comes with every commit: there is always input.
    store.commit = (...commitment) => {
      commits++;
      log.appendNow(INPUT, [count('a', 1)]);
      return commit(...commitment);
    };
    log.appendNow(INPUT, [count('a', 1)]);
    await clock.advance(1_000);
    expect(commits).toBeGreaterThan(15);
    expect(commits).toBeLessThanOrEqual(21);
    await worker.stop();
  });
});

describe('a worker of a background stage', () => {
  it('says when it is through with its input, and not while it is not', async () => {
    const { clock, log, store, worker, politeness } = await startWorker({ isBackground: true });
    expect(politeness.caughtUp).toBeGreaterThan(0);
    store.commit = () => Promise.reject(new EngineError('STORE_UNAVAILABLE', 'away'));
    const before = politeness.caughtUp;
    log.appendNow(INPUT, [count('a', 2)]);
    await clock.advance(1_000);
    expect(politeness.caughtUp).toBe(before);
    await worker.stop();
  });
});
