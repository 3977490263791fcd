/** A stage before and after one of its operators was changed, and storage of either kind to run it on. */
import { ManualClock } from '../../../streams/clock.js';
import type { Clock } from '../../../streams/clock.js';
import type { EventLog } from '../../../streams/log/event-log.js';
import { MemoryLog } from '../../../streams/memory/memory-log.js';
import { MemoryStore } from '../../../streams/memory/memory-store.js';
import { seededRandom } from '../../../streams/random.js';
import type { Operator } from '../../../streams/runtime/operator.js';
import { Task } from '../../../streams/runtime/task.js';
import { DEFAULT_TASK_OPTIONS } from '../../../streams/runtime/task-options.js';
import type { TaskEnvironment } from '../../../streams/runtime/task.js';
import type { AnyStage } from '../../../streams/runtime/topology.js';
import type { StateStore } from '../../../streams/state/state-store.js';
import { digestTask } from '../../../streams/queries/state-digest.js';
import { openEmbedded } from '../lmdb/harness.js';
import {
  count,
  countingStage,
  INPUT,
  jsonCodec,
  OUTPUT,
  sumOperator,
  totalOperator,
} from '../runtime/counting-stage.js';
import type { CountRecord, Sum } from '../runtime/counting-stage.js';

/** Withholds records whose number the key had before: what runs behind it must not see them. */
const gateOperator: Operator<CountRecord, number[]> = {
  name: 'gate',
  purity: 'log-pure',
  state: jsonCodec<number[]>(),
  process(record, cell, context) {
    const seen = cell.getOr(() => []);
    if (seen.includes(record.n)) context.stop();
    else {
      seen.push(record.n);
      cell.changed();
    }
  },
};

const NEW_QUIET_MS = 70;

/** The sum as it is after the change: ten times as much, other timers, a new layout. */
export const changedSum: Operator<CountRecord, Sum> = {
  ...sumOperator,
  state: jsonCodec<Sum>(2),
  process(record, cell, context) {
    const sum = cell.getOr(() => ({ n: 0, last: -1, armed: -1 }));
    sum.n += record.n * 10;
    sum.last = Math.max(sum.last, context.time);
    if (sum.armed >= 0) context.clearTimer(sum.armed);
    sum.armed = sum.last + NEW_QUIET_MS;
    context.setTimer(sum.armed);
    cell.changed();
  },
  fire(cell, context) {
    const sum = cell.get();
    if (sum?.armed !== context.time) return;
    sum.armed = -1;
    cell.changed();
    context.emit(OUTPUT, context.key, Buffer.from(`new ${context.key}=${sum.n}`));
  },
};

export const OLD_STAGE = countingStage({ operators: [gateOperator, sumOperator, totalOperator] });
export const NEW_STAGE = countingStage({ operators: [gateOperator, changedSum, totalOperator] });

export function records(from: number, to: number): { key: string; value: Buffer }[] {
  const random = seededRandom('records');
  const all = Array.from({ length: to }, (_, i) => count(`k${random.int(9)}`, i * 10 + random.int(40), random.int(60)));
  return all.slice(from);
}

export interface Storage {
  readonly environment: TaskEnvironment;
  close(): Promise<void>;
}

export const STORAGES: Readonly<Record<'memory' | 'lmdb', (clock?: Clock) => Promise<Storage>>> = {
  memory: async (clock = new ManualClock()) => {
    const log = new MemoryLog({ clock });
    const store = new MemoryStore({ delivery: 'atomic', log });
    return { environment: await prepared(log, store, clock), close: () => Promise.resolve() };
  },
  lmdb: async (clock = new ManualClock()) => {
    const harness = await openEmbedded(clock, { sync: 'none' });
    const { log, store } = harness.storage();
    return { environment: await prepared(log, store, clock), close: () => harness.close() };
  },
};

async function prepared(log: EventLog, store: StateStore, clock: Clock): Promise<TaskEnvironment> {
  await log.createTopics(
    [INPUT, ...OLD_STAGE.outputs, OLD_STAGE.deadLetters!].map((name) => ({
      name,
      partitions: 1,
      class: name.endsWith('feed-hints') ? 'hint' : name.endsWith('item-state') ? 'table' : 'event',
    })),
  );
  return { log, store, clock, random: seededRandom('storage') };
}

/** Runs a stage's task until there is no input; small batches on request. */
export async function runStage(stage: AnyStage, environment: TaskEnvironment, batchRecordsMax = 7): Promise<Task> {
  const task = new Task(stage, 0, environment, { ...DEFAULT_TASK_OPTIONS, sliceMs: Infinity, batchRecordsMax });
  await task.open();
  while ((await task.step()) > 0);
  return task;
}

export async function digest(stage: AnyStage, environment: Pick<TaskEnvironment, 'store'>): Promise<string> {
  const { hash, offset } = await digestTask(stage, environment.store, { stage: stage.name, partition: 0 });
  return `${offset} ${hash}`;
}

/** What the stage holds when it has run over the first `size` records from the start. */
export async function referenceDigest(stage: AnyStage, size: number): Promise<string> {
  const { environment } = await STORAGES.memory();
  await environment.log.append(INPUT, records(0, size));
  await runStage(stage, environment);
  return digest(stage, environment);
}
