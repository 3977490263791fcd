/** From records to rows: one row per thing, nothing that names a person. */
import { describe, expect, it } from 'vitest';
import { decodeRecord, encodeRecord } from '../../../schemas/codec.js';
import type { DraftByKind, RecordKind } from '../../../schemas/records.js';
import { createPseudonyms } from '../../../jobs/warehouse/pseudonyms.js';
import { TABLE_MAPPINGS } from '../../../jobs/warehouse/rows.js';
import type { TableName } from '../../../jobs/warehouse/tables.js';

const pseudonyms = createPseudonyms(Buffer.alloc(32, 7));
const at = 1_760_000_000_000;

function rowsOf<K extends RecordKind>(table: TableName, kind: K, draft: DraftByKind[K]) {
  const mapping = TABLE_MAPPINGS.find((candidate) => candidate.table === table)!;
  return mapping.rows(decodeRecord(encodeRecord(kind, draft)), { appendedAt: at, pseudonyms });
}

const event = { eventId: 'e-ann-1', userId: 'ann', ts: at, receivedAt: at, producerId: 'shop' };

describe('rows of records', () => {
  it('gives an interaction one row, with what it answers, and leaves out what is not known', () => {
    const [row, ...others] = rowsOf('interactions', 'Interaction', {
      ...event,
      type: 'click',
      itemId: 'i1',
      sessionId: 's1',
      anonymousId: 'cookie',
      context: { device: 'phone', latitude: 1.5, page: '/users/ann' },
      attribution: { requestId: 'r1', position: 2, versions: { models: { als: '3' } } },
    });
    expect(others).toEqual([]);
    expect(row).toEqual({
      appendedAt: new Date(at),
      ts: new Date(at),
      receivedAt: new Date(at),
      eventId: pseudonyms.event('e-ann-1'),
      user: pseudonyms.user('ann'),
      anonymousUser: pseudonyms.user('cookie'),
      session: pseudonyms.session('ann', 's1'),
      producer: 'shop',
      type: 'click',
      itemId: 'i1',
      device: 'phone',
      requestId: 'r1',
      position: 2,
      models: { als: '3' },
    });
  });

  it('gives every place of an impression and every outcome of a reward a row', () => {
    const slate = [
      { itemId: 'i1', position: 0, propensity: 0.5, source: 'trending' },
      { itemId: 'i2', position: 1 },
    ];
    const shown = { ...event, stage: 'viewed', requestId: 'r1', placement: 'home', slate } as const;
    const assignments = [{ experiment: 'ranker', variant: 'b' }];
    const places = rowsOf('impressions', 'Impression', { ...shown, assignments });
    expect(places).toMatchObject([
      { itemId: 'i1', position: 0, propensity: 0.5, source: 'trending', slateSize: 2, assignments: { ranker: 'b' } },
      { itemId: 'i2', position: 1, stage: 'viewed', requestId: 'r1', placement: 'home' },
    ]);
    expect(places[1]).not.toHaveProperty('propensity');
    const outcomes = [
      { itemId: 'i1', position: 0, reward: 1, feedback: ['click' as const] },
      { itemId: 'i2', position: 1, reward: 0, feedback: [] },
    ];
    const reward = { userId: 'ann', requestId: 'r1', placement: 'home', viewedAt: at, settledAt: at + 1, outcomes };
    expect(rowsOf('rewards', 'Reward', reward)).toMatchObject([
      { itemId: 'i1', reward: 1, feedback: ['click'] },
      { itemId: 'i2', reward: 0, feedback: [] },
    ]);
  });

  it('stores nothing of a person who refused analytics', () => {
    const consent = { personalization: true, analytics: false };
    expect(rowsOf('interactions', 'Interaction', { ...event, type: 'view', itemId: 'i', consent })).toEqual([]);
    const asked = { personalization: false, analytics: true };
    expect(rowsOf('interactions', 'Interaction', { ...event, type: 'view', itemId: 'i', consent: asked })).toHaveLength(
      1,
    );
  });

  it('never shows an id of a person, whatever the record', () => {
    const reason = `userId is "ann"; expected text, and 'ann' is cut off: "ann`;
    const letter = {
      topic: 'default.user-events',
      partition: 0,
      offset: 9,
      key: 'ann',
      code: 'EVENT_INVALID',
      reason,
      at,
    };
    const session = { userId: 'ann', sessionId: 'ann-1', revision: 0, start: at, end: at, durationMs: 0, pageViews: 1 };
    const rows = [
      ...rowsOf('dead_letters', 'DeadLetter', { ...letter, value: Buffer.from('ann') }),
      ...rowsOf('interactions', 'Interaction', { ...event, anonymousId: 'ann', type: 'view', itemId: 'i' }),
      ...rowsOf('sessions', 'SessionClosed', {
        ...{ ...session, interactions: 0, conversions: 0, bounced: true, lastItems: [], categories: [] },
      }),
    ];
    expect(rows).toHaveLength(3);
    expect(JSON.stringify(rows)).not.toContain('ann');
    expect(rows[0]).toMatchObject({ reason: 'userId is …; expected text, and … is cut off: …', valueBytes: 3 });
  });

  it('marks deleted items and keeps times inside what a column can hold', () => {
    const gone = { eventId: 'e', itemId: 'i', ts: 9e15 - 1, receivedAt: at, producerId: 'p' };
    expect(rowsOf('items', 'ItemDelete', gone)).toMatchObject([
      { itemId: 'i', deleted: true, ts: new Date(Date.UTC(2299, 11, 31)) },
    ]);
  });
});
