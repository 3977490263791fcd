/** `freshet state digest|get|export`: what the engine holds, hashed, looked at, or written out. */
import { createWriteStream, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { EngineError } from '../../schemas/errors.js';
import { exportSnapshot } from '../../streams/queries/snapshot.js';
import { digestTask } from '../../streams/queries/state-digest.js';
import { StateQuery } from '../../streams/queries/state-query.js';
import { openExisting } from './command.js';
import type { CommandContext, DataOptions } from './command.js';

/** One hash a task; equal logs give equal hashes. */
export async function runStateDigest(context: CommandContext, options: DataOptions): Promise<void> {
  const engine = await openExisting(context, options);
  try {
    const { stages } = engine.engineTopology.topology;
    const tasks: Record<string, { offset: number; rows: number; timers: number; hash: string }> = {};
    for (const task of await engine.storage.store.tasks()) {
      const stage = stages.find(({ name }) => name === task.stage);
      if (stage === undefined) continue;
      const { offset, rows, timers, hash } = await digestTask(stage, engine.storage.store, task);
      tasks[`${task.stage}/${task.partition}`] = { offset, rows, timers, hash };
    }
    context.terminal.result({ tasks });
  } finally {
    await engine.close();
  }
}

/** The state under one key, decoded. */
export async function runStateGet(context: CommandContext, stage: string, key: string, options: DataOptions): Promise<void> {
  const engine = await openExisting(context, options);
  try {
    const { log, store } = engine.storage;
    const found = await new StateQuery(engine.engineTopology.topology, log, store).get(stage, key);
    if (found === undefined) throw new EngineError('NOT_FOUND', `Stage '${stage}' holds nothing under key '${key}'.`);
    context.terminal.line(JSON.stringify(found, (_, value: unknown) => readable(value)));
  } finally {
    await engine.close();
  }
}

/** A snapshot file for each partition of each stage. */
export async function runStateExport(context: CommandContext, directory: string, options: DataOptions): Promise<void> {
  const engine = await openExisting(context, options);
  try {
    mkdirSync(directory, { recursive: true });
    const { log, store } = engine.storage;
    const files: string[] = [];
    for (const task of await store.tasks()) {
      const path = join(directory, `${task.stage}-${task.partition}.snapshot.gz`);
      await pipeline(await exportSnapshot(store, task, log.identity), createWriteStream(path));
      files.push(path);
      context.terminal.progress(() => `wrote ${path}`);
    }
    context.terminal.result({ files });
  } finally {
    await engine.close();
  }
}

/** Typed arrays as lists, sets as lists, maps as objects: states are live objects, not JSON. */
function readable(value: unknown): unknown {
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) return Array.from(value as unknown as ArrayLike<number>);
  if (value instanceof Set) return [...(value as Set<unknown>)];
  if (value instanceof Map) return Object.fromEntries(value as Map<string, unknown>);
  return value;
}
