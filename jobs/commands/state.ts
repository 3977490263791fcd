/** `freshet state digest|get`, `freshet snapshot export`: what the engine holds, hashed, looked at, or written out. */
import { createWriteStream, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { EngineError } from '../../schemas/errors.js';
import { exportSnapshot } from '../../streams/queries/snapshot.js';
import { digestTask } from '../../streams/queries/state-digest.js';
import { StateQuery } from '../../streams/queries/state-query.js';
import { executeOnEngine } from '../engine/admin.js';
import type { EngineCommand } from '../engine/admin.js';
import type { CommandContext, DataOptions } from './command.js';

export const SNAPSHOT_SUFFIX = '.snapshot.gz';

/** One hash a task; equal logs give equal hashes. */
export const stateDigestCommand: EngineCommand<null> = {
  name: 'state-digest',
  createsDirectory: false,
  stages: 'quiet',
  async run(engine, output) {
    const { stages } = engine.engineTopology.topology;
    const tasks: Record<string, { offset: number; rows: number; timers: number; hash: string }> = {};
    for (const task of await engine.storage.store.tasks()) {
      const stage = stages.find(({ name }) => name === task.stage);
      if (stage === undefined) continue;
      const { offset, rows, timers, hash } = await digestTask(stage, engine.storage.store, task);
      tasks[`${task.stage}/${task.partition}`] = { offset, rows, timers, hash };
    }
    output.result({ tasks });
  },
};

/** The state under one key, decoded. */
export const stateGetCommand: EngineCommand<{ stage: string; key: string }> = {
  name: 'state-get',
  createsDirectory: false,
  stages: 'quiet',
  async run(engine, output, { stage, key }) {
    const { log, store } = engine.storage;
    const found = await new StateQuery(engine.engineTopology.topology, log, store).get(stage, key);
    if (found === undefined) throw new EngineError('NOT_FOUND', `Stage '${stage}' holds nothing under key '${key}'.`);
    output.line(JSON.stringify(found, (_, value: unknown) => readable(value)));
  },
};

/** A snapshot file for each partition of each stage. */
export const stateExportCommand: EngineCommand<{ directory: string }> = {
  name: 'state-export',
  createsDirectory: false,
  stages: 'quiet',
  async run(engine, output, { directory }) {
    mkdirSync(directory, { recursive: true });
    const { log, store } = engine.storage;
    const files: string[] = [];
    for (const task of await store.tasks()) {
      const path = join(directory, `${task.stage}-${task.partition}${SNAPSHOT_SUFFIX}`);
      await pipeline(await exportSnapshot(store, task, log.identity), createWriteStream(path));
      files.push(path);
      output.progress(() => `wrote ${path}`);
    }
    output.result({ files });
  },
};

export async function runStateDigest(context: CommandContext, options: DataOptions): Promise<void> {
  await executeOnEngine(context, options, stateDigestCommand, null);
}

export async function runStateGet(
  context: CommandContext,
  stage: string,
  key: string,
  options: DataOptions,
): Promise<void> {
  await executeOnEngine(context, options, stateGetCommand, { stage, key });
}

/** Typed arrays as lists, sets as lists, maps as objects: states are live objects, not JSON. */
function readable(value: unknown): unknown {
  if (ArrayBuffer.isView(value) && !(value instanceof DataView))
    return Array.from(value as unknown as ArrayLike<number>);
  if (value instanceof Set) return [...(value as Set<unknown>)];
  if (value instanceof Map) return Object.fromEntries(value as Map<string, unknown>);
  return value;
}
