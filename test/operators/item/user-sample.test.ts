/** Two partitions' samples become one of the usual size, the latest of both first to stay. */
import { expect, it } from 'vitest';
import { createUserSampleOperator } from '../../../operators/item/user-sample.js';
import type { UserSampleState } from '../../../operators/item/user-sample.js';
import type { Cell, Context } from '../../../streams/runtime/operator.js';

const SIZE = 4;
const { merge } = createUserSampleOperator({ space: 's', sampleSize: SIZE });

/** A ring that has taken vectors 1 to `total`, each named by its length. */
function ringOf(total: number): UserSampleState {
  const vectors: UserSampleState['vectors'] = [];
  for (let i = 0; i < total; i++) {
    vectors[i % SIZE] = { quantized: Buffer.alloc(0), floats: new Float32Array(0), square: i + 1 };
  }
  return { total, vectors };
}

function merged(left: UserSampleState | undefined, right: UserSampleState): UserSampleState {
  let state = left;
  const cell = { get: () => state, set: (next: UserSampleState) => void (state = next) };
  merge!(cell as Cell<UserSampleState>, right, {} as Context);
  return state!;
}

const squaresOf = ({ vectors }: UserSampleState): number[] => vectors.map(({ square }) => square);

it('takes the latest of both in turn, and goes on where the oldest lies', () => {
  const state = merged(ringOf(6), ringOf(9));
  expect(squaresOf(state)).toEqual([8, 5, 9, 6]);
  expect(state.total % SIZE).toBe(0);
});

it('keeps everything while there is room, and the other one where there is none of its own', () => {
  expect(squaresOf(merged(ringOf(1), ringOf(2)))).toEqual([1, 2, 1]);
  expect(merged(ringOf(1), ringOf(2)).total).toBe(3);
  expect(merged(undefined, ringOf(3))).toEqual(ringOf(3));
  expect(squaresOf(merged(ringOf(0), ringOf(7)))).toEqual([4, 5, 6, 7]);
});
