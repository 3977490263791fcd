/**
 * Checkpoints of a fit in a folder, so that training goes on after kill -9 where it was.
 *
 * A checkpoint is written beside the last one and takes its place by a rename, when its bytes are on disk: a crash leaves
 * the old one or the new one, never half of either. The folder is named after everything that decides a fit (data,
 * settings, seed, build of the algorithm), so that a checkpoint is only ever found by the very same fit.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, open, readFile, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../streams/clock.js';
import type { Checkpoints, ModelFiles } from '../../serving/models/model.js';
import type { TrainingSet } from '../../serving/models/training-set.js';

/** How often a fit is asked to save itself: what a crash costs at most, plus an epoch. */
export const CHECKPOINT_SECONDS = 60;

export class FileCheckpoints implements Checkpoints {
  private lastMs: number;
  saves = 0;

  constructor(
    private readonly folder: string,
    private readonly clock: Clock,
    private readonly everyMs: number,
  ) {
    this.lastMs = clock.monotonic();
  }

  private get current(): string {
    return join(this.folder, 'checkpoint');
  }

  async load(): Promise<ModelFiles | undefined> {
    // A crash between the two renames of `save` leaves the newer one under this name.
    const path = [this.current, `${this.current}.old`].find((candidate) => existsSync(candidate));
    return path === undefined ? undefined : readFolder(path);
  }

  isDue(): boolean {
    return this.clock.monotonic() - this.lastMs >= this.everyMs;
  }

  async save(files: ModelFiles): Promise<void> {
    const next = `${this.current}.next`;
    const old = `${this.current}.old`;
    await rm(next, { recursive: true, force: true });
    await writeFolder(next, files);
    await rm(old, { recursive: true, force: true });
    if (existsSync(this.current)) await rename(this.current, old);
    await rename(next, this.current);
    await rm(old, { recursive: true, force: true });
    this.lastMs = this.clock.monotonic();
    this.saves++;
  }

  /** The fit is done: its checkpoints are not needed any more. */
  async clear(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Bytes that are on disk when it resolves. */
export async function writeFolder(folder: string, files: ModelFiles): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [name, bytes] of Object.entries(files)) {
    const file = await open(join(folder, name), 'w');
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
  }
}

async function readFolder(folder: string): Promise<ModelFiles> {
  const names = (await readdir(folder)).sort();
  const files = await Promise.all(
    names.map(async (name) => [name, new Uint8Array(await readFile(join(folder, name)))]),
  );
  return Object.fromEntries(files) as ModelFiles;
}

const KEY_DIGITS = 16;

/** Name of a fit: a hash of what decides its outcome. */
export function fitKeyOf(set: TrainingSet, decisive: Readonly<Record<string, unknown>>): string {
  const hash = createHash('sha256').update(JSON.stringify(decisive));
  hash.update(hashOf(set));
  return hash.digest('hex').slice(0, KEY_DIGITS);
}

/** SHA-256 of a training set's interactions and ids, hex: the 'which data' of a manifest. */
export function hashOf(set: TrainingSet): string {
  const hash = createHash('sha256');
  for (const { buffer, byteOffset, byteLength } of [set.rowStart, set.items, set.times, set.weights, set.types]) {
    hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  }
  for (const ids of [set.userIds, set.itemIds]) for (const id of ids) hash.update(`${id}\0`);
  return hash.digest('hex');
}
