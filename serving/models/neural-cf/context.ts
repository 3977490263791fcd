/** Context features of NeuMF: weekday and part of the day of an interaction, one-hot, all zero where there is no time. */

/** 7 weekdays, 4 parts of the day, filled up to four vectors. */
export const CONTEXT_FLOATS = 16;
const DAY_MS = 86_400_000;
const PART_MS = DAY_MS / 4;
const WEEKDAYS = 7;

/** Writes the features of `time` (ms since the epoch, UTC) at `start`. */
export function writeContext(into: Float32Array, start: number, time: number | undefined): void {
  into.fill(0, start, start + CONTEXT_FLOATS);
  if (time === undefined || !Number.isFinite(time)) return;
  const day = Math.floor(time / DAY_MS);
  into[start + (((day % WEEKDAYS) + WEEKDAYS) % WEEKDAYS)] = 1;
  into[start + WEEKDAYS + Math.floor((time - day * DAY_MS) / PART_MS)] = 1;
}
