/**
 * Drives one stage without servers, threads or sleeping: pipe records, advance event time, read outputs and state.
 *
 * The real task runs on the in-memory log and store with a clock that moves only when told, so a test sees exactly
 * what production does, including dead letters, timers and output identities.
 */
import { TOPICS } from '../../schemas/topics.js';
import { ManualClock } from '../clock.js';
import type { Hint, LogRecord, OutgoingRecord, TopicSpec } from '../log/event-log.js';
import { MemoryLog } from '../memory/memory-log.js';
import { MemoryStore } from '../memory/memory-store.js';
import { seededRandom } from '../random.js';
import { readCell } from '../runtime/row-bytes.js';
import { Task } from '../runtime/task.js';
import { DEFAULT_TASK_OPTIONS } from '../runtime/task-options.js';
import type { TaskOptions, TaskStatistics } from '../runtime/task-options.js';
import type { Operator } from '../runtime/operator.js';
import type { StageDeclaration } from '../runtime/topology.js';

export interface TestDriverOptions {
  /** Batch bounds and the like; small batches show that results do not depend on cuts. */
  readonly task?: Partial<TaskOptions>;
}

const ALL_RECORDS = { recordsMax: Number.MAX_SAFE_INTEGER, bytesMax: Number.MAX_SAFE_INTEGER };

export class TestDriver<R> {
  readonly log: MemoryLog;
  readonly store: MemoryStore;
  readonly task: Task;
  /** Hints sent so far, by topic, in order. */
  readonly hints = new Map<string, Hint[]>();
  private readonly positions = new Map<string, number>();

  private constructor(
    private readonly stage: StageDeclaration<R>,
    clock: ManualClock,
    options: TestDriverOptions,
  ) {
    this.log = new MemoryLog({ clock });
    this.store = new MemoryStore({ delivery: 'atomic', log: this.log });
    const outputs = stage.deadLetters === undefined ? stage.outputs : [...stage.outputs, stage.deadLetters];
    this.log.createTopicsNow([...new Set([stage.input, ...outputs])].map(onePartition));
    const environment = { log: this.log, store: this.store, clock, random: seededRandom('test-driver') };
    this.task = new Task(stage, 0, environment, { ...DEFAULT_TASK_OPTIONS, sliceMs: Infinity, ...options.task });
    for (const topic of outputs) {
      if (this.log.topic(topic).class !== 'hint') continue;
      this.hints.set(topic, []);
      this.log.onHints(topic, (hints) => this.hints.get(topic)!.push(...hints));
    }
  }

  static async create<R>(stage: StageDeclaration<R>, options: TestDriverOptions = {}): Promise<TestDriver<R>> {
    const driver = new TestDriver(stage, new ManualClock(), options);
    await driver.task.open();
    return driver;
  }

  /** Appends encoded records to the input and processes them. */
  async pipe(...records: readonly OutgoingRecord[]): Promise<void> {
    if (records.length > 0) this.log.appendNow(this.stage.input, records);
    while ((await this.task.step()) > 0);
  }

  /** Moves event time as an idle partition's owner does: timers before `time` fire. */
  async advanceTime(time: number): Promise<void> {
    const { codec, input } = this.stage;
    const { owner } = this.task;
    this.log.appendNow(input, [
      { key: '', value: codec.encodeRuntimeRecord({ type: 'owner', owner }) },
      { key: '', value: codec.encodeRuntimeRecord({ type: 'tick', time, owner }) },
    ]);
    await this.pipe();
  }

  /** Records written to an output topic since the last call. */
  outputs(topic: string): readonly LogRecord[] {
    const from = this.positions.get(topic) ?? 0;
    const { records, nextOffset } = this.log.readNow(topic, 0, from, ALL_RECORDS);
    this.positions.set(topic, nextOffset);
    return records;
  }

  /** An operator's committed state under a key. */
  async state<S>(operator: Operator<never, S>, key: string): Promise<S | undefined> {
    const stored = await this.store.get(this.task.id, key);
    return stored === undefined ? undefined : readCell<S>(operator, stored);
  }

  get statistics(): TaskStatistics {
    return this.task.statistics;
  }
}

function onePartition(name: string): TopicSpec {
  const declared = Object.values(TOPICS).find((topic) => name === topic.name || name.endsWith(`.${topic.name}`));
  return { name, partitions: 1, class: declared?.class ?? 'event' };
}
