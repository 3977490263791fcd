/** A command of ours in a process of its own, as on the command line. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** The built command line. */
export const CLI = fileURLToPath(new URL('./cli.js', import.meta.url));
/**
 * As `npm start` and the image run an engine: a large young generation, so that what a flush holds dies in it; a heap that may
 * grow to four times what lives before all of it is marked; one helper for the collector, as there is one core beside the loop's.
 */
export const ENGINE_FLAGS: readonly string[] = [
  '--max-semi-space-size=128',
  '--heap-growing-percent=300',
  '--v8-pool-size=1',
];
/** As `npm run freshet` runs a job. */
export const JOB_FLAGS: readonly string[] = ['--max-semi-space-size=64', '--single-threaded-gc'];
/** What is kept of each output, from its end; a result is one line. */
const SAID_CHARACTERS_MAX = 2_000;
const RESULT_CHARACTERS_MAX = 16_384;

export interface CliEnd {
  /** null: ended by a signal. */
  readonly code: number | null;
  /** The end of what it printed: results on standard output, words for people on the other. */
  readonly printed: string;
  readonly said: string;
}

export interface CliProcess {
  readonly child: ChildProcess;
  readonly ended: Promise<CliEnd>;
}

/** @param flags of Node. `ended` rejects when the process could not be started. */
export function startCli(args: readonly string[], flags: readonly string[] = []): CliProcess {
  const child = spawn(process.execPath, [...flags, CLI, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [printed, said] = ['', ''];
  child.stdout.on('data', (bytes: Buffer) => (printed = (printed + bytes.toString()).slice(-RESULT_CHARACTERS_MAX)));
  child.stderr.on('data', (bytes: Buffer) => (said = (said + bytes.toString()).slice(-SAID_CHARACTERS_MAX)));
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, printed, said }));
  return { child, ended };
}
