/**
 * Exclusive ownership of a data directory: a file `owner.lock` that names the process holding it.
 *
 * The file appears whole (it is written aside and linked into place), so whoever finds it can read it. A holder that
 * died, also by kill -9 or a crash of the machine, is recognised and replaced: within one boot and process namespace
 * by pid and start time; from another container, whose processes cannot be seen, by a heartbeat that stopped.
 * Invariant: of any number of processes that open a directory at once, at most one gets it.
 */
import { closeSync, linkSync, openSync, readFileSync, readlinkSync, renameSync, statSync } from 'node:fs';
import { unlinkSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { EngineError, invariant } from '../../schemas/errors.js';
import type { Clock, TimerHandle } from '../clock.js';

interface Holder {
  readonly pid: number;
  /** Clock ticks since boot at which the process started: tells a reused pid from the holder. */
  readonly start: string;
  readonly boot: string;
  readonly namespace: string;
}

const LOCK_FILE = 'owner.lock';
/** Only holders in other containers are judged by it; several beats may be lost to a busy machine. */
const HEARTBEAT_MS = 2_000;
const HEARTBEAT_LOST_MS = 30_000;
/** Each attempt fails only because another process changed the file meanwhile. */
const ATTEMPTS_MAX = 16;

export class DirectoryLock {
  private constructor(
    private readonly path: string,
    private readonly content: string,
    private readonly heartbeat: TimerHandle,
  ) {}

  /** Takes the directory, or throws DATA_DIRECTORY_LOCKED naming the process that has it. */
  static take(directory: string, clock: Clock): DirectoryLock {
    const path = join(directory, LOCK_FILE);
    const content = JSON.stringify(thisProcess());
    const aside = `${path}.${process.pid}`;
    writeFileSync(aside, content);
    try {
      for (let i = 0; i < ATTEMPTS_MAX; i++) {
        if (tryLink(aside, path)) {
          const beat = clock.setInterval(HEARTBEAT_MS, () => touch(path));
          return new DirectoryLock(path, content, beat);
        }
        removeIfStale(directory, path, aside);
      }
    } finally {
      unlinkSync(aside);
    }
    throw locked(directory, undefined);
  }

  /** Idempotent. */
  release(): void {
    this.heartbeat.cancel();
    if (readText(this.path) === this.content) unlinkSync(this.path);
  }
}

/** Clears a dead holder's file; throws DATA_DIRECTORY_LOCKED for a living one. */
function removeIfStale(directory: string, path: string, aside: string): void {
  const text = readText(path);
  if (text === undefined) return;
  const holder = parseHolder(text);
  if (holder === undefined || isAlive(holder, path, aside)) throw locked(directory, holder);
  const grave = `${aside}.stale`;
  if (!succeeds(() => renameSync(path, grave), 'ENOENT')) return;
  // Somebody else may have taken over between the look and the rename: then the lock goes back to its owner.
  if (readText(grave) !== text) tryLink(grave, path);
  unlinkSync(grave);
}

function isAlive(holder: Holder, path: string, aside: string): boolean {
  const self = thisProcess();
  if (holder.boot !== self.boot) return false;
  if (holder.namespace === self.namespace) return startOf(holder.pid) === holder.start;
  // Both times are the file system's own, so no clock has to agree with another.
  touch(aside);
  const beatAge = statSync(aside).mtimeMs - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0);
  return beatAge < HEARTBEAT_LOST_MS;
}

function thisProcess(): Holder {
  const start = startOf(process.pid);
  invariant(start !== undefined, `Process ${process.pid} cannot see itself`);
  const boot = readText('/proc/sys/kernel/random/boot_id')?.trim() ?? '';
  return { pid: process.pid, start, boot, namespace: processNamespace() };
}

/** undefined when there is no such process; '' where the system has no /proc and only the pid can be checked. */
function startOf(pid: number): string | undefined {
  const status = readText(`/proc/${pid}/stat`);
  // The command name, in parentheses, may hold anything; fields are counted behind it. A zombie holds nothing.
  const fields = status?.slice(status.lastIndexOf(')') + 2).split(' ');
  if (fields !== undefined) return fields[0] === 'Z' ? undefined : fields[19];
  if (readText('/proc/self/stat') !== undefined) return undefined;
  return succeeds(() => process.kill(pid, 0), 'ESRCH') ? '' : undefined;
}

function processNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return '';
  }
}

function parseHolder(text: string): Holder | undefined {
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === 'object' && parsed !== null && 'pid' in parsed ? (parsed as Holder) : undefined;
  } catch {
    return undefined;
  }
}

function locked(directory: string, holder: Holder | undefined): EngineError {
  const by = holder === undefined ? 'another process' : `process ${holder.pid}`;
  return new EngineError(
    'DATA_DIRECTORY_LOCKED',
    `Data directory '${directory}' is held by ${by}; stop it, or use another directory. ` +
      `If nothing runs there, remove ${LOCK_FILE}.`,
    { context: { directory, pid: holder?.pid } },
  );
}

function tryLink(source: string, target: string): boolean {
  return succeeds(() => linkSync(source, target), 'EEXIST');
}

/** Rewrites the first byte, so that the file system notes its own time; readers see the file whole throughout. */
function touch(path: string): void {
  let file: number | undefined;
  if (!succeeds(() => (file = openSync(path, 'r+')), 'ENOENT') || file === undefined) return;
  writeSync(file, '{', 0);
  closeSync(file);
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** Whether the call did not fail with the one expected code; any other failure is thrown. */
function succeeds(call: () => void, expected: string): boolean {
  try {
    call();
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === expected) return false;
    throw error;
  }
}
