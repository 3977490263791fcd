/**
 * One hash a task over everything that is a function of the log alone: equal logs give equal digests, whatever
 * happened in between — crashes, rebalances, other batch cuts.
 *
 * Covered are the cells of log-pure operators and all their timers, in key order. Not covered are cells of
 * table-reading operators, row versions and commit ids.
 */
import { createHash } from 'node:crypto';
import { hash32 } from '../../schemas/ids.js';
import { forEachCell } from '../runtime/row-bytes.js';
import type { AnyStage } from '../runtime/topology.js';
import type { StateStore, TaskId } from '../state/state-store.js';

export interface TaskDigest {
  readonly task: TaskId;
  /** Next input offset: digests are comparable at equal offsets only. */
  readonly offset: number;
  readonly rows: number;
  readonly timers: number;
  /** SHA-256, hex. */
  readonly hash: string;
}

/** Reads one consistent view a task; run it while the task is idle to have rows and timers of the same commit. */
export async function digestTask(stage: AnyStage, store: StateStore, task: TaskId): Promise<TaskDigest> {
  const pure = stage.operators.filter((operator) => operator.purity === 'log-pure');
  const pureHashes = new Set(pure.map((operator) => hash32(operator.name) >>> 0));
  const pureNames = new Set(pure.map((operator) => operator.name));
  const digest = createHash('sha256');
  let rows = 0;
  for await (const [key, stored] of store.scan(task)) {
    let isCovered = false;
    forEachCell(stored, (hash, version, bytes) => {
      if (!pureHashes.has(hash)) return;
      digest
        .update(isCovered ? '' : `\u0000row ${key}\u0000`)
        .update(`${hash} ${version} ${bytes.length} `)
        .update(bytes);
      isCovered = true;
    });
    if (isCovered) rows++;
  }
  let timers = 0;
  for await (const timer of store.scanTimers(task)) {
    if (!pureNames.has(timer.operator)) continue;
    digest.update(`\u0000timer ${timer.time} ${timer.operator} ${timer.key}`);
    timers++;
  }
  const head = await store.head(task);
  return { task, offset: head?.offset ?? 0, rows, timers, hash: digest.digest('hex') };
}
