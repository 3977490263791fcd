import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { createDedupeOperator } from '../../../operators/user/dedupe.js';
import {
  createIdentifyOperator,
  DEFAULT_IDENTIFY,
  identifyCodec,
  type IdentifyState,
} from '../../../operators/user/identify.js';
import { createProfileOperator, DEFAULT_PROFILE } from '../../../operators/user/profile.js';
import type { ProfileState } from '../../../operators/user/profile-state.js';
import type { UserEvent } from '../../../operators/user/user-events.js';
import { FakeStage } from './fake-stage.js';
import { DAY, erase, identify, interaction, T0 } from './records.js';

const TOPIC = 'user-events';

function stageOf(): FakeStage {
  return new FakeStage([
    createIdentifyOperator(DEFAULT_IDENTIFY, { userEventsTopic: TOPIC, feedHintsTopic: 'hints' }),
    createDedupeOperator(),
    createProfileOperator(DEFAULT_PROFILE),
  ]);
}

/**
 * Keys on partitions of their own: `order` chooses which key's next record is processed. Records of one sender to one
 * key stay in order, as they do in a log; nothing else does.
 */
function runInterleaved(records: readonly { key: string; record: UserEvent }[], order: () => number): FakeStage {
  const stage = stageOf();
  const inboxes = new Map<string, UserEvent[]>();
  const send = (key: string, record: UserEvent): void => {
    const inbox = inboxes.get(key) ?? [];
    inbox.push(record);
    inboxes.set(key, inbox);
  };
  for (const { key, record } of records) send(key, record);
  for (let steps = 0; inboxes.size > 0; steps++) {
    if (steps > 20_000) throw new Error('messages go round and round');
    const keys = [...inboxes.keys()].sort();
    const key = keys[order() % keys.length]!;
    const inbox = inboxes.get(key)!;
    stage.feed(inbox.shift()!, key);
    if (inbox.length === 0) inboxes.delete(key);
    for (const message of stage.takeMessages(TOPIC)) send(message.key, message.record);
  }
  return stage;
}

/** Interactions counted under each key that has any. */
function counts(stage: FakeStage): Record<string, number> {
  const found: Record<string, number> = {};
  for (const key of [...stage.rows.keys()].sort()) {
    const profile = stage.stateOf<ProfileState>('profile', key);
    const count = profile?.counts.reduce((sum, value) => sum + value, 0) ?? 0;
    if (count > 0) found[key] = count;
  }
  return found;
}

const inOrder = (): number => 0;
const at = (key: string, record: UserEvent): { key: string; record: UserEvent } => ({ key, record });

describe('identify', () => {
  it('moves the state of an anonymous id to the person, and sends on what comes later', () => {
    const stage = runInterleaved(
      [
        at('anon', interaction('anon', T0, 'a')),
        at('anon', identify('anon', 'user', T0 + 1)),
        at('anon', interaction('anon', T0 + 2, 'b')),
        at('user', interaction('user', T0 + 3, 'c')),
      ],
      inOrder,
    );
    expect(counts(stage)).toEqual({ user: 3 });
    expect(stage.stateOf<ProfileState>('profile', 'user')!.recentItems.all()).toEqual(['a', 'b', 'c']);
    expect(stage.stateOf<IdentifyState>('identify', 'anon')).toMatchObject({ to: 'user' });
    expect(stage.stateOf<IdentifyState>('identify', 'user')).toMatchObject({ to: '', sources: ['anon'] });
  });

  it('moves nothing when an interaction merely names an anonymous id', () => {
    const stage = runInterleaved(
      [at('anon', interaction('anon', T0)), at('user', interaction('user', T0, 'x', { anonymousId: 'anon' }))],
      inOrder,
    );
    expect(counts(stage)).toEqual({ anon: 1, user: 1 });
  });

  it('drops a repeat that reaches the person by way of the alias', () => {
    const repeated = interaction('anon', T0, 'a');
    const stage = runInterleaved(
      [at('anon', repeated), at('anon', identify('anon', 'user', T0 + 1)), at('anon', repeated)],
      inOrder,
    );
    expect(counts(stage)).toEqual({ user: 1 });
  });

  it('leaves the past with the first person when a device changes hands', () => {
    const stage = runInterleaved(
      [
        at('device', interaction('device', T0)),
        at('device', identify('device', 'first', T0 + 1)),
        at('device', identify('device', 'second', T0 + 2)),
        at('device', interaction('device', T0 + 3)),
      ],
      inOrder,
    );
    expect(counts(stage)).toEqual({ first: 1, second: 1 });
  });

  it('forgets an alias that nothing came through for its time to live', () => {
    const stage = runInterleaved([at('anon', identify('anon', 'user', T0))], inOrder);
    stage.feed(interaction('anon', T0 + 80 * DAY));
    stage.advanceTo(T0 + 160 * DAY);
    expect(stage.stateOf<IdentifyState>('identify', 'anon')).toMatchObject({ to: 'user' });
    stage.advanceTo(T0 + 171 * DAY);
    expect(stage.stateOf('identify', 'anon')).toBeUndefined();
  });

  it.each([
    [
      'a cycle of two',
      [
        ['a', 'b'],
        ['b', 'a'],
      ],
      'a',
    ],
    [
      'the same, the other way round',
      [
        ['b', 'a'],
        ['a', 'b'],
      ],
      'a',
    ],
    [
      'a cycle of three',
      [
        ['b', 'c'],
        ['c', 'a'],
        ['a', 'b'],
      ],
      'a',
    ],
    [
      'a tail into a cycle',
      [
        ['x', 'c'],
        ['c', 'b'],
        ['b', 'c'],
      ],
      'b',
    ],
  ] as const)('gathers everything at the smallest id of %s', (_name, edges, end) => {
    const keys = [...new Set(edges.flat())];
    const records = [
      ...keys.map((key) => at(key, interaction(key, T0))),
      ...edges.map(([from, to]) => at(from, identify(from, to, T0 + 1))),
      ...keys.map((key) => at(key, interaction(key, T0 + 2))),
    ];
    expect(counts(runInterleaved(records, inOrder))).toEqual({ [end]: 2 * keys.length });
  });

  it('loses and doubles nothing, and ends at one key a group, whatever ids become whatever in whatever order', () => {
    const edge = fc.tuple(fc.constantFrom('a', 'b', 'c', 'd', 'e'), fc.constantFrom('a', 'b', 'c', 'd', 'e'));
    fc.assert(
      fc.property(
        fc.uniqueArray(edge, { selector: ([from]) => from, maxLength: 5 }),
        fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e'), { maxLength: 12 }),
        fc.infiniteStream(fc.nat()),
        fc.infiniteStream(fc.nat()),
        (edges, touched, mix, order) => {
          const records = [
            ...edges.map(([from, to]) => at(from, identify(from, to, T0))),
            ...touched.map((key) => at(key, interaction(key, T0))),
          ];
          const places = new Map(records.map((record) => [record, mix.next().value as number]));
          records.sort((left, right) => places.get(left)! - places.get(right)!);
          const stage = runInterleaved(records, () => order.next().value as number);
          const expected: Record<string, number> = {};
          for (const key of touched) {
            const end = endOf(key, new Map(edges));
            expected[end] = (expected[end] ?? 0) + 1;
          }
          expect(counts(stage)).toEqual(expected);
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('erases a person under every id they had, from whichever one the request came', () => {
    for (const entrance of ['anon', 'user']) {
      const stage = runInterleaved(
        [
          at('anon', interaction('anon', T0)),
          at('anon', identify('anon', 'user', T0 + 1)),
          at('user', interaction('user', T0 + 2)),
        ],
        inOrder,
      );
      const messages = [{ key: entrance, record: erase(entrance, T0 + 3) }];
      for (let next = messages.shift(); next !== undefined; next = messages.shift()) {
        stage.feed(next.record, next.key);
        messages.push(...stage.takeMessages(TOPIC));
      }
      for (const row of stage.rows.values()) expect(row.every((state) => state === undefined)).toBe(true);
    }
  });

  it('does not erase the person who uses the device now', () => {
    const stage = runInterleaved(
      [
        at('device', identify('device', 'first', T0)),
        at('device', identify('device', 'second', T0 + 1)),
        at('device', interaction('device', T0 + 2)),
      ],
      inOrder,
    );
    stage.feed(erase('first', T0 + 3));
    for (const { key, record } of stage.takeMessages(TOPIC)) stage.feed(record, key);
    expect(stage.takeMessages(TOPIC)).toEqual([]);
    expect(counts(stage)).toEqual({ second: 1 });
  });

  it('reads back the state it wrote', () => {
    const state = { to: 'user', usedAt: T0, sources: ['x', 'ÿ'] };
    expect(identifyCodec.decode(Buffer.from(identifyCodec.encode(state)), 1)).toEqual(state);
  });
});

/** Where a key's records end: the end of its chain, or the smallest id of the cycle it runs into. */
function endOf(key: string, next: ReadonlyMap<string, string>): string {
  const path: string[] = [];
  for (let current = key; ;) {
    const to = next.get(current);
    if (to === undefined || to === current) return current;
    if (path.includes(current)) return path.slice(path.indexOf(current)).sort()[0]!;
    path.push(current);
    current = to;
  }
}
