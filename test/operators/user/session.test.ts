import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { createSessionOperator, DEFAULT_SESSION } from '../../../operators/user/session.js';
import { gapSessionId, sessionCodec, type SessionState } from '../../../operators/user/session-state.js';
import type { UserEvent } from '../../../operators/user/user-events.js';
import type { SessionClosed } from '../../../schemas/records.js';
import { FakeStage } from './fake-stage.js';
import { DAY, HOUR, interaction, MINUTE, T0 } from './records.js';

const config = { ...DEFAULT_SESSION, retainedMax: 64, allowedLatenessMs: 2 * DAY };
const stageOf = (overrides = {}): FakeStage =>
  new FakeStage([createSessionOperator({ ...config, ...overrides }, { sessionsTopic: 'sessions' })]);

/** What a reader of `sessions` ends up with: of each id the last revision, unless withdrawn. */
function finalSessions(stage: FakeStage): Omit<SessionClosed, 'kind' | 'revision'>[] {
  const latest = new Map<string, SessionClosed>();
  for (const record of stage.decoded('sessions') as SessionClosed[]) {
    const id = `${record.userId}/${record.sessionId}`;
    const known = latest.get(id);
    if (known !== undefined) expect(record.revision).toBeGreaterThan(known.revision);
    latest.set(id, record);
  }
  return [...latest.values()]
    .filter((record) => !record.withdrawn)
    .map(({ revision: _revision, ...content }) => content)
    .sort((left, right) => left.start - right.start || (left.sessionId < right.sessionId ? -1 : 1));
}

function run(records: readonly UserEvent[], overrides = {}, restoring = false): FakeStage {
  const stage = stageOf(overrides);
  stage.restoring = restoring;
  for (const record of records) stage.feed(record);
  stage.advanceTo(T0 + 10 * DAY);
  return stage;
}

const recordArbitrary = fc.record({
  minute: fc.integer({ min: 0, max: 600 }),
  item: fc.integer({ min: 0, max: 15 }),
  sessionId: fc.option(fc.constantFrom('s1', 's2'), { nil: null, freq: 3 }),
  type: fc.constantFrom('view' as const, 'click' as const, 'purchase' as const),
  category: fc.option(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g')),
});

describe('session', () => {
  it('sends a session once the gap has passed, and not at its last instant', () => {
    const stage = stageOf();
    stage.feed(interaction('u', T0, 'a', { type: 'view' }));
    stage.feed(interaction('u', T0 + 10 * MINUTE, 'b', { type: 'purchase' }));
    stage.feed(interaction('other', T0 + 40 * MINUTE));
    expect(stage.decoded('sessions')).toEqual([]);
    stage.feed(interaction('other', T0 + 40 * MINUTE + 1));
    expect(stage.decoded('sessions')).toMatchObject([
      {
        userId: 'u',
        sessionId: gapSessionId(T0),
        revision: 0,
        start: T0,
        end: T0 + 10 * MINUTE,
        durationMs: 10 * MINUTE,
        pageViews: 1,
        interactions: 2,
        conversions: 1,
        bounced: false,
        lastItems: ['b', 'a'],
      },
    ]);
  });

  it('calls a session of one interaction bounced', () => {
    const stage = run([interaction('u', T0)]);
    expect(finalSessions(stage)).toMatchObject([{ bounced: true, interactions: 1 }]);
  });

  it('keeps several explicit sessions open at once, whatever their pauses', () => {
    const stage = run([
      interaction('u', T0, 'a', { sessionId: 'phone' }),
      interaction('u', T0 + MINUTE, 'b', { sessionId: 'laptop' }),
      interaction('u', T0 + 2 * HOUR, 'c', { sessionId: 'phone' }),
    ]);
    expect(finalSessions(stage)).toMatchObject([
      { sessionId: 'phone', interactions: 2, durationMs: 2 * HOUR },
      { sessionId: 'laptop', interactions: 1 },
    ]);
  });

  it('joins two closed gap sessions that a late record bridges: one is corrected, the other withdrawn', () => {
    const stage = stageOf();
    stage.feed(interaction('u', T0, 'a'));
    stage.feed(interaction('u', T0 + 50 * MINUTE, 'b'));
    stage.feed(interaction('u', T0 + 5 * HOUR, 'c'));
    stage.feed(interaction('u', T0 + 25 * MINUTE, 'late'));
    const sent = stage.decoded('sessions') as SessionClosed[];
    expect(sent.slice(2)).toMatchObject([
      { sessionId: gapSessionId(T0 + 50 * MINUTE), revision: 1, withdrawn: true },
      { sessionId: gapSessionId(T0), revision: 1, withdrawn: false, interactions: 3, lastItems: ['b', 'late', 'a'] },
    ]);
  });

  it('counts a record beyond the allowed lateness apart, and leaves sessions alone', () => {
    const stage = stageOf({ allowedLatenessMs: HOUR });
    stage.feed(interaction('u', T0));
    stage.feed(interaction('u', T0 - HOUR - 1));
    expect(stage.stateOf<SessionState>('session', 'u')).toMatchObject({ tooLate: 1, sessions: [{ interactions: 1 }] });
  });

  it('keeps no more sessions than allowed, and sends an open one before it forgets it', () => {
    const records = Array.from({ length: 40 }, (_, i) => interaction('u', T0 + i, `i${i}`, { sessionId: `s${i}` }));
    const stage = stageOf({ retainedMax: 4 });
    for (const record of records) stage.feed(record);
    expect(stage.stateOf<SessionState>('session', 'u')!.sessions).toHaveLength(4);
    stage.advanceTo(T0 + DAY);
    expect(finalSessions(stage)).toHaveLength(40);
  });

  it('ends with the sessions of the time-sorted records, in whatever order they come', () => {
    fc.assert(
      fc.property(
        fc.array(recordArbitrary, { maxLength: 24 }),
        fc.infiniteStream(fc.nat()),
        fc.boolean(),
        (drafts, order, restoring) => {
          const records = drafts.map(({ minute, item, sessionId, type, category }) =>
            interaction('u', T0 + minute * MINUTE, `item-${item}`, {
              sessionId,
              type,
              ...(category === null ? {} : { context: { attributes: { category } } }),
            }),
          );
          const sorted = [...records].sort((left, right) => (left as { ts: number }).ts - (right as { ts: number }).ts);
          const keys = new Map(records.map((record) => [record, order.next().value as number]));
          const shuffled = [...records].sort((left, right) => keys.get(left)! - keys.get(right)!);
          expect(finalSessions(run(shuffled, {}, restoring))).toEqual(finalSessions(run(sorted)));
        },
      ),
      { numRuns: 400 },
    );
  });

  it('ends with the same sessions when part of the records is merged in from another key', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(recordArbitrary, fc.boolean()), { maxLength: 20 }), (drafts) => {
        const make = (userId: string, [{ minute, item, sessionId, type }]: (typeof drafts)[number]): UserEvent =>
          interaction(userId, T0 + minute * MINUTE, `item-${item}`, { sessionId, type });
        const split = stageOf();
        for (const draft of drafts) split.feed(make(draft[1] ? 'anonymous' : 'u', draft));
        const anonymous = split.stateOf<SessionState>('session', 'anonymous');
        if (anonymous !== undefined) {
          split.rows.delete('anonymous');
          const bytes = Buffer.from(sessionCodec.encode(anonymous));
          const merger = {
            kind: 'Control',
            ts: split.streamTime,
          } as unknown as UserEvent;
          split.feed(merger, 'u');
          split.importCells([{ operator: 'session', version: 1, bytes }]);
        }
        split.advanceTo(T0 + 10 * DAY);
        const whole = run(drafts.map((draft) => make('u', draft)));
        expect(finalSessions(split)).toEqual(finalSessions(whole));
      }),
      { numRuns: 200 },
    );
  });

  it('reads back the state it wrote', () => {
    const stage = run([interaction('u', T0, 'a', { sessionId: 'phone' }), interaction('u', T0 + 1, 'b')]);
    const state = stage.stateOf<SessionState>('session', 'u')!;
    const bytes = sessionCodec.encode(state);
    expect(Buffer.from(sessionCodec.encode(sessionCodec.decode(Buffer.from(bytes), 1)))).toEqual(Buffer.from(bytes));
    expect(() => sessionCodec.decode(Buffer.from(bytes).subarray(1), 1)).toThrow(/cannot be decoded/);
    expect(() => sessionCodec.decode(Buffer.from(bytes), 9)).toThrow(/version 9/);
  });
});
