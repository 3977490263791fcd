import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { createDedupeOperator, dedupeCodec, type DedupeState } from '../../../operators/user/dedupe.js';
import { createProfileOperator } from '../../../operators/user/profile.js';
import type { ProfileState } from '../../../operators/user/profile-state.js';
import { FakeStage } from './fake-stage.js';
import { interaction, T0 } from './records.js';

const stageOf = (ringSize: number): FakeStage =>
  new FakeStage([createDedupeOperator({ ringSize }), createProfileOperator()]);
const counted = (stage: FakeStage): number =>
  stage.stateOf<ProfileState>('profile', 'u')!.counts.reduce((a, b) => a + b, 0);
const event = (eventId: string, producerId = 'test') => interaction('u', T0, 'a', { eventId, producerId });

describe('dedupe', () => {
  it('lets an event through once and counts its repeats', () => {
    const stage = stageOf(64);
    for (const id of ['x', 'y', 'x', 'x']) stage.feed(event(id));
    expect(counted(stage)).toBe(2);
    expect(stage.stateOf<DedupeState>('dedupe', 'u')!.duplicates).toBe(2);
  });

  it('takes equal ids of two producers for two events', () => {
    const stage = stageOf(64);
    stage.feed(event('x', 'shop'));
    stage.feed(event('x', 'app'));
    expect(counted(stage)).toBe(2);
  });

  it('knows an event for as long as it is repeated, whatever comes between', () => {
    const stage = stageOf(4);
    stage.feed(event('x'));
    for (let i = 0; i < 40; i++) {
      stage.feed(event(`other${i}`));
      if (i % 3 === 2) stage.feed(event('x'));
    }
    expect(counted(stage)).toBe(41);
  });

  it('drops exactly the repeats of the N events that came or were repeated last', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 12 }), { maxLength: 100 }), fc.boolean(), (ids, restoring) => {
        const ringSize = 5;
        const stage = stageOf(ringSize);
        stage.restoring = restoring;
        let recent: number[] = [];
        let passed = 0;
        for (const id of ids) {
          stage.feed(event(`e${id}`));
          if (!recent.includes(id)) passed++;
          expect(stage.stateOf<DedupeState>('dedupe', 'u')!.hashes.length).toBeLessThanOrEqual(ringSize);
          recent = [...recent.filter((known) => known !== id), id].slice(-ringSize);
        }
        expect(passed === 0 ? 0 : counted(stage)).toBe(passed);
      }),
    );
  });

  it('knows the events of both keys after a merge, the newest of each first', () => {
    const left = stageOf(4);
    const right = stageOf(4);
    for (const id of ['a', 'b', 'c', 'd']) left.feed(event(id));
    for (const id of ['w', 'x', 'y', 'z']) right.feed(event(id));
    left.feed({ kind: 'Control', ts: T0 } as never, 'u');
    right.feed({ kind: 'Control', ts: T0 } as never, 'u');
    left.importCells(right.exportCells());
    for (const id of ['d', 'z', 'c', 'y']) left.feed(event(id));
    expect(left.stateOf<DedupeState>('dedupe', 'u')!.duplicates).toBe(4);
  });

  it('reads back the state it wrote, in six bytes an event', () => {
    const stage = stageOf(64);
    for (let i = 0; i < 100; i++) stage.feed(event(`e${i}`));
    const bytes = Buffer.from(dedupeCodec.encode(stage.stateOf<DedupeState>('dedupe', 'u')!));
    expect(bytes.length).toBeLessThan(64 * 6 + 8);
    expect(Buffer.from(dedupeCodec.encode(dedupeCodec.decode(bytes, 1)))).toEqual(bytes);
  });
});
