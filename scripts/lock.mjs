/**
 * A lock between processes of one checkout: two commands must not install or build into the same tree at once.
 *
 * The lock is a directory under dist/ (never committed) that holds its owner's process id; one whose owner is dead
 * is taken over.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** An installation takes a minute on a slow line; this is several of them. */
const WAIT_MS_MAX = 300_000;
const POLL_MS = 100;
/** Between making the directory and writing the id into it, a holder is alive but nameless. */
const NAMELESS_MS_MAX = 2_000;

export async function withLock(root, name, work) {
  mkdirSync(join(root, 'dist'), { recursive: true });
  const lock = join(root, 'dist', `.${name}.lock`);
  const holder = join(lock, 'pid');
  for (let waitedMs = 0; !tryMake(lock); waitedMs += POLL_MS) {
    const pid = existsSync(holder) ? Number(readFileSync(holder, 'utf8')) : undefined;
    const isAbandoned = pid === undefined ? waitedMs > NAMELESS_MS_MAX : pid > 0 && !isAlive(pid);
    if (isAbandoned) rmSync(lock, { recursive: true, force: true });
    if (waitedMs > WAIT_MS_MAX) throw new Error(`${lock} is held by process ${pid}; remove it if nothing is running`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  try {
    writeFileSync(holder, String(process.pid));
    return await work();
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}

function tryMake(directory) {
  try {
    mkdirSync(directory);
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}
