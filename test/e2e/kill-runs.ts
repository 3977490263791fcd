/**
 * A file run through the engine by processes that are killed at seeded random moments, each followed by another one
 * that goes on, until one comes to the end; and what an uninterrupted run of the same file makes of it.
 *
 * Moments are drawn from the time the process takes the directory: recovery, appends, commits and progress notes are
 * all met. A run that ends before its moment is simply started again: then an import that has nothing left is killed.
 */
import { systemClock } from '../../streams/clock.js';
import { seededRandom } from '../../streams/random.js';
import { digestOf, FreshetProcess, temporaryDirectory } from './freshet.js';
import type { TaskDigest } from './freshet.js';

export type KillMode = 'lockstep' | 'import';

export interface KillOptions {
  readonly mode: KillMode;
  readonly file: string;
  readonly mapping: string;
  readonly limit: number;
  readonly kills: number;
  readonly seed: string;
  /** streams.sync: no policy loses anything to a kill, they differ in speed. */
  readonly sync: 'always' | 'interval' | 'none';
}

export interface KilledRun {
  readonly directory: string;
  readonly kills: number;
  /** Processes it took. */
  readonly lives: number;
  readonly digests: Readonly<Record<string, TaskDigest>>;
}

/** Lives that end by themselves before they are killed are bounded: a finished import is over in no time. */
const LIVES_PER_KILL_MAX = 4;
/** Part of the uninterrupted run that an average life gets: work is repeated after a kill, so progress is slower. */
const LIFE_SHARE = 1;

export interface CleanRun {
  readonly directory: string;
  /** From taking the directory to the end. */
  readonly activeMs: number;
  readonly digests: Readonly<Record<string, TaskDigest>>;
}

export async function runCleanly(options: KillOptions): Promise<CleanRun> {
  const directory = temporaryDirectory();
  const process = await startHolding(options, directory);
  const start = systemClock.monotonic();
  await requireSuccess(process);
  const activeMs = systemClock.monotonic() - start;
  return { directory, activeMs, digests: await digestOf(directory) };
}

export async function runKilled(options: KillOptions, activeMs: number): Promise<KilledRun> {
  const random = seededRandom(`${options.seed}/${options.mode}`);
  const directory = temporaryDirectory();
  const delayMsMax = (2 * LIFE_SHARE * activeMs) / options.kills;
  let kills = 0;
  let lives = 0;
  while (kills < options.kills && lives < options.kills * LIVES_PER_KILL_MAX) {
    lives++;
    const process = await startHolding(options, directory);
    const end = await Promise.race([process.ended, systemClock.sleep(random.float() * delayMsMax)]);
    if (end === undefined) {
      await process.kill();
      kills++;
    } else {
      await requireSuccess(process);
    }
  }
  await requireSuccess(await startHolding(options, directory));
  return { directory, kills, lives: lives + 1, digests: await digestOf(directory) };
}

/** Starts the command and resolves once it holds the directory, or has ended already. */
async function startHolding(options: KillOptions, directory: string): Promise<FreshetProcess> {
  const { mode, file, mapping, limit, sync } = options;
  const command = mode === 'lockstep' ? ['replay', file, '--lockstep'] : ['import', file];
  const settings = ['--set', `streams.sync=${sync}`];
  const process = new FreshetProcess([
    ...command,
    ...['--mapping', mapping, '--data', directory, '--limit', String(limit), '--json'],
    ...settings,
  ]);
  await process.holdsOrEnded(directory);
  return process;
}

async function requireSuccess(process: FreshetProcess): Promise<void> {
  const { code, signal } = await process.ended;
  if (code !== 0) throw new Error(`The run ended with ${code ?? signal}:\n${process.stderr}`);
}

/** Tasks whose state differs, of the stages named; offsets may differ, re-sent records are in the log twice. */
export function differingTasks(
  left: Readonly<Record<string, TaskDigest>>,
  right: Readonly<Record<string, TaskDigest>>,
  stages: readonly string[],
): string[] {
  const names = new Set([...Object.keys(left), ...Object.keys(right)]);
  const contentOf = (digest: TaskDigest | undefined): string => `${digest?.hash} ${digest?.rows} ${digest?.timers}`;
  return [...names]
    .filter((name) => stages.some((stage) => name.startsWith(`${stage}/`)))
    .filter((name) => contentOf(left[name]) !== contentOf(right[name]));
}
