/**
 * The `freshet` command as a process of its own: run to its end, or started, watched and killed by its id.
 *
 * The build is brought up to date once a test file. Whoever starts a process owns it; `killAll` in an afterEach takes
 * those that a failed test left behind.
 */
import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './until.js';

/** Tests and scripts alike run from the project's root. */
export const ROOT = process.cwd();
const CLI = join(ROOT, 'dist', 'jobs', 'cli.js');

let built = false;

function cli(): string {
  if (!built) execFileSync(process.execPath, [join(ROOT, 'scripts', 'run.mjs'), 'build'], { cwd: ROOT, stdio: 'pipe' });
  built = true;
  return CLI;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class FreshetProcess {
  stdout = '';
  stderr = '';
  readonly ended: Promise<Ended>;
  end: Ended | undefined;
  private readonly child: ChildProcess;

  constructor(args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
    this.child = spawn(process.execPath, [cli(), ...args], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    });
    this.child.stdout!.on('data', (chunk: Buffer) => (this.stdout += chunk.toString()));
    this.child.stderr!.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
    this.ended = new Promise((resolve, reject) => {
      this.child.once('error', reject);
      this.child.once('close', (code, signal) => {
        this.end = { code, signal };
        running.delete(this);
        resolve(this.end);
      });
    });
    running.add(this);
  }

  get pid(): number {
    return this.child.pid!;
  }

  /** Resolves once standard error shows a match. Rejects when the process ends without one. */
  async says(pattern: RegExp, deadlineMs?: number): Promise<RegExpExecArray> {
    const found = await until(
      `${String(pattern)} from freshet`,
      () => pattern.exec(this.stderr) ?? (this.end === undefined ? undefined : ('ended' as const)),
      deadlineMs,
    );
    if (found !== 'ended') return found;
    throw new Error(`freshet ended (${JSON.stringify(this.end)}) without ${String(pattern)}:\n${this.stderr}`);
  }

  /** Looks the holder up: a command that tries has the directory for a moment, and this process would be refused. */
  async holdsOrEnded(directory: string): Promise<void> {
    const lock = join(directory, 'owner.lock');
    const holder = (): number => (JSON.parse(readFileSync(lock, 'utf8')) as { pid: number }).pid;
    await until(`process ${this.pid} to hold the directory`, () => this.end !== undefined || holder() === this.pid);
  }

  /** Such as SIGSTOP, and SIGCONT later. */
  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** As a power cut for the process: no handler runs. */
  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.ended;
  }

  /** As an operator stops it. */
  async stop(): Promise<Ended> {
    this.child.kill('SIGTERM');
    return this.ended;
  }
}

const running = new Set<FreshetProcess>();

export async function killAll(): Promise<void> {
  await Promise.all([...running].map((process) => process.kill()));
}

export interface Finished extends Ended {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end, whatever that is. */
export async function runFreshet(...args: string[]): Promise<Finished> {
  const process = new FreshetProcess(args);
  const end = await process.ended;
  return { ...end, stdout: process.stdout, stderr: process.stderr };
}

/** Runs a command that must succeed, with `--json`; returns its result. */
export async function resultOf<T>(...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await runFreshet(...args, '--json');
  if (code !== 0) throw new Error(`freshet ${args.join(' ')} ended with ${code}:\n${stderr}`);
  return JSON.parse(stdout.trimEnd().split('\n').at(-1)!) as T;
}

export interface TaskDigest {
  readonly offset: number;
  readonly rows: number;
  readonly timers: number;
  readonly hash: string;
}

export async function digestOf(data: string, ...args: string[]): Promise<Readonly<Record<string, TaskDigest>>> {
  return (await resultOf<{ tasks: Record<string, TaskDigest> }>('state', 'digest', '--data', data, ...args)).tasks;
}

/** Arguments of an engine with so many. */
export const partitions = (count: number): string[] => ['--set', `streams.partitions=${count}`];

export interface UpProcess {
  readonly process: FreshetProcess;
  readonly url: string;
}

/** A start takes a second or two; on a machine full of other tests it was seen to take more than half a minute. */
const START_MS_MAX = 120_000;

/** Starts `up` on a free port and waits until it is ready. */
export async function startUp(data: string, ...args: string[]): Promise<UpProcess> {
  const process = new FreshetProcess(['up', '--port', '0', '--data', data, ...args]);
  const url = (await process.says(/page\s+(http:\/\/\S+)\//, START_MS_MAX))[1]!;
  await until('/readyz', async () => (await fetch(`${url}/readyz`)).ok, START_MS_MAX);
  return { process, url };
}

/** Resolves when both stages are through with what was published. */
export async function untilProcessed(url: string, deadlineMs?: number): Promise<void> {
  const look = async (): Promise<boolean> => {
    const { lag } = (await (await fetch(`${url}/v1/status`)).json()) as { lag: { stream: number } };
    return lag.stream === 0;
  };
  await until('the stages', look, deadlineMs);
}

const directories: string[] = [];

export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'freshet-e2e-'));
  directories.push(directory);
  return directory;
}

export function removeTemporaryDirectories(): void {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
}
