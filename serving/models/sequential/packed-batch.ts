/**
 * Sequences packed one after the other without padding, and how a training set is cut into them.
 *
 * A window of at most L + 1 interactions gives up to L positions: at each, the items so far predict the next. Rows longer
 * than that are cut into several windows, from a place that changes with the epoch, so that every interaction is a target
 * and each is seen after differently long histories.
 *
 * Invariant: sequence s holds positions starts[s] to starts[s + 1]; targets[p] is −1 where nothing is to be predicted.
 */
import type { Random } from '../../../streams/random.js';
import type { TrainingSet } from '../training-set.js';

export interface PackedBatch {
  /** One more than there are sequences. */
  readonly starts: Int32Array;
  readonly inputs: Int32Array;
  readonly targets: Int32Array;
}

/** A run of the training set's arrays: inputs are from … to − 2, targets from + 1 … to − 1. */
export interface Window {
  readonly from: number;
  readonly to: number;
}

/** Every interaction but the first of its row is the target of exactly one window. */
export function windowsOf(
  set: Pick<TrainingSet, 'rowStart'>,
  ends: Int32Array,
  length: number,
  random: Random,
): Window[] {
  const windows: Window[] = [];
  for (let row = 0; row + 1 < set.rowStart.length; row++) {
    const from = set.rowStart[row]!;
    let to = ends[row]!;
    // The latest window is full but for a random part: what was its start is the middle of one in another epoch.
    let room = to - from > length + 1 ? 1 + Math.ceil(length / 2) + random.int(Math.floor(length / 2) + 1) : length + 1;
    while (to - from >= 2) {
      const start = Math.max(from, to - room);
      windows.push({ from: start, to });
      to = start + 1;
      room = length + 1;
    }
  }
  return windows;
}

export function packWindows(items: Int32Array, windows: readonly Window[]): PackedBatch {
  const count = windows.reduce((sum, { from, to }) => sum + to - from - 1, 0);
  const batch = {
    starts: new Int32Array(windows.length + 1),
    inputs: new Int32Array(count),
    targets: new Int32Array(count),
  };
  let place = 0;
  windows.forEach(({ from, to }, s) => {
    batch.inputs.set(items.subarray(from, to - 1), place);
    batch.targets.set(items.subarray(from + 1, to), place);
    place += to - from - 1;
    batch.starts[s + 1] = place;
  });
  return batch;
}

/** Histories to ask about: nothing to predict, each cut to its newest `length`. None may be empty. */
export function packHistories(histories: readonly Int32Array[], length: number): PackedBatch {
  const cut = histories.map((items) => (items.length > length ? items.subarray(items.length - length) : items));
  const count = cut.reduce((sum, items) => sum + items.length, 0);
  const batch = {
    starts: new Int32Array(cut.length + 1),
    inputs: new Int32Array(count),
    targets: new Int32Array(count).fill(-1),
  };
  let place = 0;
  cut.forEach((items, s) => {
    batch.inputs.set(items, place);
    place += items.length;
    batch.starts[s + 1] = place;
  });
  return batch;
}
