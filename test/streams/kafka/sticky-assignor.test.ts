import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  assignSticky,
  decodeAssignment,
  decodeMetadata,
  encodeAssignment,
  encodeMetadata,
  type MemberClaim,
} from '../../../streams/kafka/sticky-assignor.js';

const claim = (memberId: string, owned: readonly number[] = [], generation = 1): MemberClaim => ({
  memberId,
  owned,
  generation,
});

/** Rounds of the protocol until nobody has to let anything go. */
function settle(
  claims: readonly MemberClaim[],
  partitions: number,
): { rounds: number; result: Map<string, readonly number[]> } {
  let current = claims;
  for (let rounds = 1; ; rounds++) {
    const assignment = assignSticky(current, partitions);
    if (assignment.pending.length === 0) return { rounds, result: new Map(assignment.partitions) };
    current = current.map(({ memberId }) => claim(memberId, assignment.partitions.get(memberId), rounds + 1));
    if (rounds > 3) throw new Error('the members never agree');
  }
}

describe('the sticky assignor', () => {
  it('gives the only member everything at once', () => {
    expect(assignSticky([claim('a')], 3)).toEqual({ partitions: new Map([['a', [0, 1, 2]]]), pending: [] });
  });

  it('lets a partition go before it gives it away, and leaves the others where they are', () => {
    const first = assignSticky([claim('a', [0, 1, 2, 3]), claim('b')], 4);
    expect(first.partitions.get('a')).toEqual([0, 1]);
    expect(first.partitions.get('b')).toEqual([]);
    expect(first.pending).toEqual([2, 3]);
    const second = assignSticky([claim('a', [0, 1], 2), claim('b', [], 2)], 4);
    expect([...second.partitions]).toEqual([
      ['a', [0, 1]],
      ['b', [2, 3]],
    ]);
  });

  it('gives what a dead member had to the living at once', () => {
    const { partitions, pending } = assignSticky([claim('a', [0, 1])], 4);
    expect([partitions.get('a'), pending]).toEqual([[0, 1, 2, 3], []]);
  });

  it('believes the younger membership when two claim the same partition', () => {
    const { partitions } = assignSticky([claim('zombie', [0, 1], 3), claim('owner', [0, 1], 7)], 2);
    expect(partitions.get('zombie')).toEqual([]);
    expect(partitions.get('owner')!.length).toBe(1);
  });

  it('is balanced, complete, and moves no more than it must, whoever had what', () => {
    const scenario = fc.record({
      partitions: fc.integer({ min: 1, max: 24 }),
      members: fc.integer({ min: 1, max: 6 }),
      owners: fc.array(fc.integer({ min: 0, max: 7 }), { minLength: 24, maxLength: 24 }),
    });
    fc.assert(
      fc.property(scenario, ({ partitions, members, owners }) => {
        const claims = Array.from({ length: members }, (_, m) =>
          claim(
            `m${m}`,
            owners.slice(0, partitions).flatMap((owner, p) => (owner === m ? [p] : [])),
          ),
        );
        const { rounds, result } = settle(claims, partitions);
        expect(rounds).toBeLessThanOrEqual(2);
        expect([...result.values()].flat().sort((a, b) => a - b)).toEqual([...Array(partitions).keys()]);
        const counts = [...result.values()].map((own) => own.length);
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
        // Nobody loses a partition while it has no more than the smaller share.
        for (const { memberId, owned } of claims) {
          const kept = owned.filter((partition) => result.get(memberId)!.includes(partition)).length;
          expect(kept).toBeGreaterThanOrEqual(Math.min(owned.length, Math.floor(partitions / members)));
        }
      }),
    );
  });

  it('reads what it wrote, and nothing from a member that is new', () => {
    expect(decodeMetadata('m', encodeMetadata('t', { owned: [3, 1], generation: 9 }))).toEqual(claim('m', [3, 1], 9));
    expect(decodeAssignment(encodeAssignment('t', [5, 2], true))).toEqual({ partitions: [5, 2], isPending: true });
    expect(decodeAssignment(Buffer.alloc(0))).toEqual({ partitions: [], isPending: false });
  });
});
