/** What a task is told and what it counts. */

export interface TaskOptions {
  /** Most records a batch takes. */
  readonly batchRecordsMax: number;
  /** A batch takes no more records after this long: so long the state of a backlog stays unseen, and is done over after a fault. */
  readonly batchMsMax: number;
  /** A batch ends after the record that passes this many input bytes. */
  readonly batchBytesMax: number;
  /** A batch ends after the record that passes this many output bytes. */
  readonly outputBytesMax: number;
  /** Most records of a batch that are in memory at once. Tells nothing apart but memory. */
  readonly chunkRecordsMax: number;
  /** Most timers loaded at a time; when more are due the batch is cut. */
  readonly timersMax: number;
  /** Approximate memory of the row cache. */
  readonly cacheBytesMax: number;
  /** Other work of the process gets a turn after this long; Infinity never yields. */
  readonly sliceMs: number;
}

export const DEFAULT_TASK_OPTIONS: TaskOptions = {
  batchRecordsMax: 20_000,
  batchMsMax: 1_000,
  batchBytesMax: 4 << 20,
  outputBytesMax: 8 << 20,
  chunkRecordsMax: 500,
  timersMax: 10_000,
  cacheBytesMax: 16 << 20,
  sliceMs: 5,
};

/** Who gives way is felt as long as a slice takes. */
const BACKGROUND_SLICE_MS = 2;

export function backgroundSliceMs({ sliceMs }: TaskOptions): number {
  return Math.min(sliceMs, BACKGROUND_SLICE_MS);
}

/** Counted since the task was opened. */
export interface TaskStatistics {
  records: number;
  timersFired: number;
  commits: number;
  outputs: number;
  outputBytes: number;
  repeatsDropped: number;
  late: number;
  deadLetters: number;
  faultsIgnored: number;
}

export function emptyStatistics(): TaskStatistics {
  return {
    records: 0,
    timersFired: 0,
    commits: 0,
    outputs: 0,
    outputBytes: 0,
    repeatsDropped: 0,
    late: 0,
    deadLetters: 0,
    faultsIgnored: 0,
  };
}
