/**
 * What every load bench reports beside its own figures: the machine's disk and load, and the median of several runs.
 *
 * A latency under `sync: always` cannot be below the disk's, and on a busy machine no figure means much without saying
 * how busy it was.
 */
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../streams/clock.js';
import { Histogram, type Quantiles } from './histogram.js';

export interface Machine {
  readonly cpus: number;
  /** Over 1, 5 and 15 minutes. */
  readonly loadAverage: readonly number[];
  /** A 4 KiB write made durable. */
  readonly fdatasync: Quantiles;
}

const SYNCS = 300;
const PAGE_BYTES = 4_096;
/** Pages of the file that are written in turn. */
const PAGES = 64;

/** Where the engines of a bench keep their data: the temporary directory. */
export function measureMachine(clock: Clock): Machine {
  const directory = mkdtempSync(join(tmpdir(), 'freshet-sync-'));
  const file = openSync(join(directory, 'sync'), 'w');
  const times = new Histogram();
  try {
    for (let i = 0; i < SYNCS; i++) {
      const start = clock.monotonic();
      writeSync(file, Buffer.alloc(PAGE_BYTES, i), 0, PAGE_BYTES, (i % PAGES) * PAGE_BYTES);
      fdatasyncSync(file);
      times.add(clock.monotonic() - start);
    }
  } finally {
    closeSync(file);
    rmSync(directory, { recursive: true });
  }
  return { cpus: cpus().length, loadAverage: loadavg(), fdatasync: times.quantiles() };
}

/** The median of each number over the runs, taken by itself; of an even number of runs the worse of the middle two. */
export function medianOf<T extends Readonly<Record<string, number>>>(runs: readonly T[]): T {
  const names = Object.keys(runs[0] ?? {});
  const middle = Math.floor(runs.length / 2);
  return Object.fromEntries(
    names.map((name) => [name, runs.map((run) => run[name]!).sort((a, b) => a - b)[middle]!]),
  ) as T;
}

/** CPU seconds of this process so far. */
export function ownCpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
