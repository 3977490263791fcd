/**
 * Changes the number of partitions: builds the next generation of topics and tasks beside the one in force, and puts it in
 * force by one write.
 *
 *   generation n in force ──▶ n + 1 noted ──▶ topics ──▶ tables ──▶ states, read back ──▶ documents ──▶ n + 1 in force ──▶ n dropped
 *           ▲                   └─────────────── cut off: nothing has changed ──────────────┘                  │ cut off: the next
 *           └─────── a new attempt, under the next number ──────┘                                              └ call drops n
 *
 * Inputs of stages begin empty, above every offset that the old partitions had: versions of rows and of table values go on
 * rising. What was sent before stays in the old topics, for readers that are not there yet, as long as those retain it.
 *
 * The engine must be drained and stand still. Tasks are taken from whoever has them; a commit or an append meanwhile ends the
 * call with ENGINE_RUNNING before anything is in force. An attempt that was cut off is not gone on with: the engine may have
 * run since. Where several processes share the engine the call is made under an announcement (LayoutChange.announce): what
 * one of them appends after the check is not acknowledged then, and a second call cannot get between.
 */
import { createHash } from 'node:crypto';
import { EngineError } from '../../schemas/errors.js';
import { partitionFor } from '../../schemas/ids.js';
import { LayoutChange } from '../generations/layout-change.js';
import { parseStage } from '../generations/layout.js';
import type { Generation, Layout } from '../generations/layout.js';
import { viewOf } from '../generations/views.js';
import type { LogAndStore } from '../generations/views.js';
import type { TopicSpec } from '../log/event-log.js';
import type { Random } from '../random.js';
import { requireManifest } from '../runtime/manifest.js';
import { TaskMeta } from '../runtime/task-meta.js';
import type { AnyStage, Topology } from '../runtime/topology.js';
import type { StateStore, TaskContent, TaskId, TimerEntry } from '../state/state-store.js';
import { taskName } from '../state/state-store.js';
import { StateRekeying } from './rekey-state.js';

export interface RepartitionOptions {
  readonly topology: Topology;
  /** All topics as they are to be, under logical names. */
  readonly topics: readonly TopicSpec[];
  /** Documents that belong to one generation: what the next one's says. None where it returns undefined. */
  readonly documents: Readonly<Record<string, (before: string | undefined) => string | undefined>>;
  /** The key whose stage publishes a table's key: values lie in its partition. */
  readonly tableOwner?: (topic: string, key: string) => string;
  readonly random: Random;
  /** The announcement under which it is done; withdrawn by the flip. Absent: nobody else can have the engine open. */
  readonly change?: LayoutChange;
  /** The next generation is in force, and what the one before had in the store goes when this has resolved. */
  readonly onInForce?: (layout: Layout) => Promise<void>;
  readonly onProgress?: (text: () => string) => void;
}

export interface RepartitionResult {
  readonly generation: number;
  readonly rows: number;
  readonly timers: number;
  readonly tableRecords: number;
}

/** Records of a table moved at once. */
const READ_LIMITS = { recordsMax: 20_000, bytesMax: 8 << 20 };

/**
 * undefined when every topic has its partitions already; what an earlier call left is removed then, too. Throws
 * ENGINE_RUNNING, TOPIC_MISMATCH, MANIFEST_MISMATCH, TOPOLOGY_INVALID, STATE_CORRUPT; the generation in force stays then.
 */
export async function repartition(
  physical: LogAndStore,
  options: RepartitionOptions,
): Promise<RepartitionResult | undefined> {
  const change = options.change ?? (await LayoutChange.open(physical));
  const before = change.layout;
  // What somebody is building under an announcement must not be removed under his hands.
  if (options.change === undefined && before.closing !== undefined) throw announced();
  await dropOthers(physical.store, before);
  const documents = Object.keys(options.documents);
  const source = viewOf(physical, { layout: before }, documents);
  const changed = changedTopics(source, options.topics);
  if (changed.length === 0) return undefined;

  const standing = await requireDrained(source, options);
  const attempt = attemptOf(before, changed, options);
  await change.update((layout) => ({ ...layout, generations: [...layout.generations, attempt] }));
  const noted = change.layout;
  const target = viewOf(physical, { layout: noted, number: attempt.number }, documents);
  const moved = await build(source, target, attempt, options);

  await requireStanding(source, options.topology, standing);
  await change.update(({ format, generations }) => {
    const served = generations.map((one) => (one === attempt ? { ...one, hasServed: true } : one));
    return { format, inForce: attempt.number, generations: served };
  });
  await options.onInForce?.(change.layout);
  await dropOthers(physical.store, change.layout);
  return { generation: attempt.number, ...moved };
}

/** Logical names of topics that exist with another number of partitions. */
function changedTopics({ log }: Pick<LogAndStore, 'log'>, wanted: readonly TopicSpec[]): string[] {
  const present = new Map(log.topics().map(({ name, partitions }) => [name, partitions]));
  return wanted
    .filter(({ name, partitions }) => (present.get(name) ?? partitions) !== partitions)
    .map(({ name }) => name);
}

function attemptOf(
  { generations }: Layout,
  changed: readonly string[],
  { topology, topics: wanted, random }: RepartitionOptions,
): Generation {
  const topics = [...new Set([...changed, ...topology.stages.map(({ input }) => input)])].sort();
  const moved = wanted.filter(({ name }) => topics.includes(name));
  return {
    number: generations.at(-1)!.number + 1,
    identity: random.hex(16),
    topics,
    partitions: Object.fromEntries(moved.map(({ name, partitions }) => [name, partitions])),
    hasServed: false,
  };
}

/** Everything of the next generation; nobody looks at it yet. */
async function build(
  source: LogAndStore,
  target: LogAndStore,
  { topics }: Generation,
  options: RepartitionOptions,
): Promise<Omit<RepartitionResult, 'generation'>> {
  const { topology, documents } = options;
  await target.log.createTopics(options.topics);
  let tableRecords = 0;
  for (const topic of topics) {
    if (target.log.topic(topic).class === 'table') tableRecords += await moveTable(source, target, topic, options);
  }
  let rows = 0;
  let timers = 0;
  for (const stage of topology.stages) {
    const moved = await moveStage(source, target, stage, options);
    rows += moved.rows;
    timers += moved.timers;
  }
  await requireManifest(topology, target);
  for (const [name, next] of Object.entries(documents)) {
    const text = next(await source.store.readDocument(name));
    if (text !== undefined) await target.store.writeDocument(name, text);
  }
  return { rows, timers, tableRecords };
}

/** Values keep their order and origins, which followers go by; times of append become those of the move. */
async function moveTable(
  source: LogAndStore,
  target: LogAndStore,
  topic: string,
  { tableOwner = (_, key) => key, onProgress = () => undefined }: RepartitionOptions,
): Promise<number> {
  const { partitions } = target.log.topic(topic);
  let moved = 0;
  for (let partition = 0; partition < source.log.topic(topic).partitions; partition++) {
    const { start, end } = await source.log.bounds(topic, partition);
    for (let at = start; at < end;) {
      const { records, nextOffset } = await source.log.read(topic, partition, at, READ_LIMITS);
      await target.log.append(
        topic,
        records.map(({ key, value, origin }) => {
          return { key, value, origin, partition: partitionFor(tableOwner(topic, key), partitions) };
        }),
      );
      moved += records.length;
      at = nextOffset;
      onProgress(() => `${topic}: ${moved} records moved`);
    }
  }
  return moved;
}

async function moveStage(
  source: LogAndStore,
  target: LogAndStore,
  stage: AnyStage,
  { random, onProgress = () => undefined }: RepartitionOptions,
): Promise<{ rows: number; timers: number }> {
  const { input, name } = stage;
  const from = source.log.topic(input).partitions;
  const to = target.log.topic(input).partitions;
  let offset = 0;
  for (let partition = 0; partition < from; partition++) {
    offset = Math.max(offset, (await source.log.bounds(input, partition)).end);
  }
  const endedSources = `${source.log.identity}/`;
  const rekeying = await StateRekeying.open({ stage, store: source.store, from, to, offset, endedSources });
  let rows = 0;
  let timers = 0;
  for (let partition = 0; partition < to; partition++) {
    await target.log.beginAt(input, partition, offset);
    if (rekeying.isEmpty) continue;
    const task = { stage: name, partition };
    const sent = new ContentDigest(rekeying.contentOf(partition, random.hex(16)));
    await target.store.restore(task, sent.content);
    await requireStored(target.store, task, sent);
    rows += sent.rows;
    timers += sent.timers;
    onProgress(() => `state of ${taskName(task)}: ${rows} of ${rekeying.rows} rows of the stage`);
  }
  return { rows, timers };
}

/** Hashes and counts rows and timers on their way. */
class ContentDigest {
  readonly content: TaskContent;
  rows = 0;
  timers = 0;
  private readonly hash = createHash('sha256');

  constructor({ head, rows, timers }: TaskContent) {
    this.content = { head, rows: this.passRows(rows), timers: this.passTimers(timers) };
  }

  digest(): string {
    return this.hash.digest('hex');
  }

  private async *passRows(rows: TaskContent['rows']): TaskContent['rows'] {
    for await (const row of rows) {
      this.rows++;
      this.hash.update(`row ${row[0]} ${row[1].length} `).update(row[1]);
      yield row;
    }
  }

  private async *passTimers(timers: AsyncIterable<TimerEntry>): AsyncGenerator<TimerEntry> {
    for await (const timer of timers) {
      this.timers++;
      this.hash.update(`timer ${timer.time} ${timer.operator} ${timer.key} `);
      yield timer;
    }
  }
}

async function requireStored(store: StateStore, task: TaskId, sent: ContentDigest): Promise<void> {
  const head = await store.head(task);
  if (head !== undefined) {
    const found = new ContentDigest({ head, rows: store.scan(task), timers: store.scanTimers(task) });
    for await (const row of found.content.rows) void row;
    for await (const timer of found.content.timers) void timer;
    if (head.offset === sent.content.head.offset && found.digest() === sent.digest()) return;
  }
  throw new EngineError('STATE_CORRUPT', `What was stored for ${taskName(task)} is not what it was given.`, {
    context: { task: taskName(task) },
  });
}

/** Where every task stood: by name, its commit and where its input ends. */
type Standing = ReadonlyMap<string, string>;

/** Takes all tasks, so that nobody goes on with them unnoticed. Throws ENGINE_RUNNING where something waits. */
async function requireDrained(source: LogAndStore, { topology, random }: RepartitionOptions): Promise<Standing> {
  const owner = random.hex(16);
  for (const task of tasksOf(source, topology)) {
    const head = await source.store.head(task);
    const { end } = await source.log.bounds(inputOf(topology, task), task.partition);
    if (head !== undefined) await source.store.acquire(task, owner);
    const waiting = end - (head?.offset ?? 0);
    const unsent = source.store.delivery === 'outbox' ? (await source.store.outbox(task)).length : 0;
    const hasBegun = head !== undefined && TaskMeta.decode(head.meta).emitted.size > 0;
    if (waiting === 0 && unsent === 0 && !hasBegun) continue;
    throw new EngineError(
      'ENGINE_RUNNING',
      `${taskName(task)} is not drained: ${waiting} records and ${unsent} commits' outputs wait. Let the engine finish, stop all its processes, and try again.`,
      { context: { task: taskName(task) } },
    );
  }
  return standingOf(source, topology);
}

async function standingOf(source: LogAndStore, topology: Topology): Promise<Standing> {
  const standing = new Map<string, string>();
  for (const task of tasksOf(source, topology)) {
    const head = await source.store.head(task);
    const { end } = await source.log.bounds(inputOf(topology, task), task.partition);
    standing.set(taskName(task), `${head?.commitId ?? 'none'} ${end}`);
  }
  return standing;
}

async function requireStanding(source: LogAndStore, topology: Topology, standing: Standing): Promise<void> {
  const now = await standingOf(source, topology);
  const moved = [...standing].filter(([name, stood]) => now.get(name) !== stood).map(([name]) => name);
  if (moved.length === 0) return;
  throw new EngineError(
    'ENGINE_RUNNING',
    `Something appended to or committed ${moved.join(', ')} meanwhile; the old partitions stay in force. Stop all processes of the engine, and try again.`,
  );
}

function inputOf({ stages }: Topology, task: TaskId): string {
  return stages.find(({ name }) => name === task.stage)!.input;
}

function* tasksOf({ log }: LogAndStore, { stages }: Topology): Iterable<TaskId> {
  for (const { name, input } of stages) {
    for (let partition = 0; partition < log.topic(input).partitions; partition++) yield { stage: name, partition };
  }
}

function announced(): EngineError {
  return new EngineError(
    'ENGINE_RUNNING',
    'Somebody else repartitions this engine, or died doing it: then its processes find out within half a minute. Let it finish, and try again.',
  );
}

/**
 * Removes the tasks of generations that are not in force: of the one before, and of attempts that came to nothing. Of those
 * that the layout does not know nothing is touched: they were begun by somebody who went on since it was read.
 */
async function dropOthers(store: StateStore, { inForce, generations }: Layout): Promise<void> {
  const others = new Set(generations.map(({ number }) => number).filter((number) => number !== inForce));
  for (const task of await store.tasks()) {
    if (others.has(parseStage(task.stage).generation)) await store.drop(task);
  }
}
