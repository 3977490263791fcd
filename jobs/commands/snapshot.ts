/**
 * `freshet snapshot export|restore`: every partition's state as a file, and back where the log still reaches to its offset.
 *
 * A restore replaces what the tasks have and fences whoever runs them; the log then brings them up to date. Embedded, no
 * engine may hold the directory.
 */
import { createReadStream, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { EngineError } from '../../schemas/errors.js';
import { importSnapshot, readSnapshotPlace } from '../../streams/queries/snapshot.js';
import { taskName } from '../../streams/state/state-store.js';
import { executeOnEngine } from '../engine/admin.js';
import type { EngineCommand } from '../engine/admin.js';
import type { Engine } from '../engine/engine.js';
import type { CommandContext, DataOptions } from './command.js';
import { SNAPSHOT_SUFFIX, stateExportCommand } from './state.js';

/** All files of a directory; each is checked before the state of any task is replaced. */
const restoreCommand: EngineCommand<{ directory: string }> = {
  name: 'snapshot-restore',
  createsDirectory: false,
  stages: 'quiet',
  async run(engine, output, { directory }) {
    const files = readdirSync(directory).filter((name) => name.endsWith(SNAPSHOT_SUFFIX));
    if (files.length === 0) {
      throw new EngineError('NOT_FOUND', `There is no snapshot (*${SNAPSHOT_SUFFIX}) in '${directory}'.`);
    }
    const paths = files.sort().map((name) => join(directory, name));
    for (const path of paths) await requireReachable(engine, path);
    const { log, store } = engine.storage;
    const tasks: string[] = [];
    for (const path of paths) {
      tasks.push(taskName(await importSnapshot(store, () => createReadStream(path), log.identity)));
      output.progress(() => `restored ${path}`);
    }
    output.result({ tasks });
  },
};

/** The records behind the snapshot must still be there. Throws SNAPSHOT_INVALID. */
async function requireReachable(engine: Engine, path: string): Promise<void> {
  const { log } = engine.storage;
  const { task, offset } = await readSnapshotPlace(createReadStream(path), log.identity);
  const stage = engine.engineTopology.topology.stages.find(({ name }) => name === task.stage);
  const partitions = stage === undefined ? 0 : log.topic(stage.input).partitions;
  if (stage === undefined || task.partition >= partitions) {
    throw new EngineError(
      'SNAPSHOT_INVALID',
      `'${path}' is of task ${taskName(task)}, which this engine does not have.`,
    );
  }
  const { start, end } = await log.bounds(stage.input, task.partition);
  if (start <= offset && offset <= end) return;
  throw new EngineError(
    'SNAPSHOT_INVALID',
    `'${path}' ends at offset ${offset}; the log of ${taskName(task)} holds ${start} to ${end}: it cannot go on from there.`,
  );
}

export async function runSnapshotExport(
  context: CommandContext,
  directory: string,
  options: DataOptions,
): Promise<void> {
  await executeOnEngine(context, options, stateExportCommand, { directory: resolve(directory) });
}

export async function runSnapshotRestore(
  context: CommandContext,
  directory: string,
  options: DataOptions,
): Promise<void> {
  await executeOnEngine(context, options, restoreCommand, { directory: resolve(directory) });
}
