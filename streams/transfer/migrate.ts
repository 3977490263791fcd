/**
 * Moves an engine's log and state to other storage, as the same log: its identity, offsets and origins stay, and with them
 * everything that states, followers and clients know.
 *
 *     (empty) ── begin ──▶ copying ──▶ done
 *                            │  ▲
 *                            └──┘ cut off: the same call goes on; no worker starts on the target meanwhile
 *
 * Neither side may run: the source is held by the caller, the target is refused unless it is empty or holds an unfinished
 * migration of the same source. Afterwards digests of every task are compared.
 */
import { EngineError } from '../../schemas/errors.js';
import type { EventLog } from '../log/event-log.js';
import { digestTask } from '../queries/state-digest.js';
import { MANIFEST_DOCUMENT, MIGRATION_DOCUMENT, readMigration } from '../runtime/manifest.js';
import type { Migration } from '../runtime/manifest.js';
import type { Topology } from '../runtime/topology.js';
import type { StateStore, TaskId } from '../state/state-store.js';
import { taskName } from '../state/state-store.js';
import { copyTopic } from './copy-topic.js';

export interface MigrationSide {
  readonly log: EventLog;
  readonly store: StateStore;
}

export interface MigrationOptions {
  readonly topology: Topology;
  /** Documents beside the manifest that belong to the engine. */
  readonly documents: readonly string[];
  readonly onProgress?: (text: () => string) => void;
}

export interface MigrationResult {
  readonly records: number;
  readonly tasks: number;
}

/** Throws TOPIC_MISMATCH and MANIFEST_MISMATCH where the target is not fit, STATE_CORRUPT when a digest differs. */
export async function migrate(
  source: MigrationSide,
  target: MigrationSide,
  { topology, documents, onProgress = () => undefined }: MigrationOptions,
): Promise<MigrationResult> {
  const topics = source.log.topics();
  // Transactions leave marks between the records, which would move their offsets: exact from the last copy on.
  await target.log.createTopics(topics.map((spec) => ({ ...spec, exact: false })));
  await begin(source, target);
  let records = 0;
  for (const { name } of topics) {
    records += await copyTopic(source.log, target.log, name, (copied) =>
      onProgress(() => `${name}: ${copied} records copied`),
    );
  }
  await target.log.createTopics(topics);
  const tasks = await source.store.tasks();
  for (const task of tasks) {
    onProgress(() => `state of ${taskName(task)}`);
    await copyTask(source.store, target.store, task);
    await requireSameDigest(topology, { source: source.store, target: target.store }, task);
  }
  for (const name of [...documents, MANIFEST_DOCUMENT]) {
    const text = await source.store.readDocument(name);
    if (text !== undefined) await target.store.writeDocument(name, text);
  }
  await note(target.store, { format: 1, source: source.log.identity, phase: 'done' });
  return { records, tasks: tasks.length };
}

async function begin(source: MigrationSide, target: MigrationSide): Promise<void> {
  const { identity } = source.log;
  if (target.log.identity !== identity) {
    throw new EngineError(
      'MANIFEST_MISMATCH',
      `The target's log is '${target.log.identity}', not '${identity}': it was in use before. Take servers that are new, or another kafka.prefix.`,
    );
  }
  const found = await readMigration(target.store);
  if (found?.phase === 'copying' && found.source === identity) return;
  const reason = found === undefined ? await contentOf(target) : 'a migration into it is done already';
  if (reason !== undefined) {
    throw new EngineError('MANIFEST_MISMATCH', `The target is not empty: ${reason}. Nothing was copied.`);
  }
  await note(target.store, { format: 1, source: identity, phase: 'copying' });
}

/** What stands in the way, in words; undefined for an empty target. */
async function contentOf({ log, store }: MigrationSide): Promise<string | undefined> {
  const [task] = await store.tasks();
  if (task !== undefined) return `it has state of ${taskName(task)}`;
  for (const { name, partitions, class: of } of log.topics()) {
    for (let partition = 0; of !== 'hint' && partition < partitions; partition++) {
      const { end } = await log.bounds(name, partition);
      if (end > 0) return `its topic ${name}/${partition} has ${end} records`;
    }
  }
  return undefined;
}

async function copyTask(source: StateStore, target: StateStore, task: TaskId): Promise<void> {
  const head = await source.head(task);
  if (head === undefined) return;
  await target.restore(task, { head, rows: source.scan(task), timers: source.scanTimers(task) });
}

async function requireSameDigest(
  topology: Topology,
  { source, target }: { source: StateStore; target: StateStore },
  task: TaskId,
): Promise<void> {
  const stage = topology.stages.find(({ name }) => name === task.stage);
  if (stage === undefined) return;
  const [before, after] = await Promise.all([digestTask(stage, source, task), digestTask(stage, target, task)]);
  if (before.hash === after.hash && before.offset === after.offset) return;
  throw new EngineError(
    'STATE_CORRUPT',
    `The copied state of ${taskName(task)} differs: ${before.rows} rows at offset ${before.offset} became ${after.rows} at ${after.offset}.`,
  );
}

async function note(store: StateStore, migration: Migration): Promise<void> {
  await store.writeDocument(MIGRATION_DOCUMENT, JSON.stringify(migration));
}
