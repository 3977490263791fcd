import { expect, it, vi } from 'vitest';

import type * as Embedded from '../../schemas/avro-schemas.js';
import { parseSchema } from '../../schemas/avro.js';
import { decodeRecord, encodeRecord, recordKindOf } from '../../schemas/codec.js';
import { formatFingerprint } from '../../schemas/fingerprint.js';
import { createRecordType } from '../../schemas/record-type.js';

/** A Tick as an earlier release might have had it: a shorter ts, a field that is gone since, no ownerToken default. */
const earlier = vi.hoisted(
  () =>
    '{"type":"record","name":"Tick","namespace":"freshet","fields":[{"name":"note","type":["null","string"],"default":null},' +
    '{"name":"ownerToken","type":"string"},{"name":"ts","type":"int"}]}',
);

vi.mock('../../schemas/avro-schemas.js', async (original) => {
  const { parseSchema: parse } = await import('../../schemas/avro.js');
  const { formatFingerprint: format } = await import('../../schemas/fingerprint.js');
  const fingerprint = format(parse(earlier).fingerprint);
  return { ...(await original<typeof Embedded>()), AVRO_HISTORY: [{ kind: 'Tick', fingerprint, schema: earlier }] };
});

it('records of an earlier release are read as if written today', () => {
  const parsed = parseSchema(earlier);
  const header = Buffer.from(`c301${formatFingerprint(parsed.fingerprint)}`, 'hex');
  header.subarray(2).reverse();
  const body = createRecordType<object>(earlier).encode({ note: 'gone', ownerToken: 'o', ts: 12 });
  const bytes = Buffer.concat([header, body]);
  const record = decodeRecord(bytes);
  expect(recordKindOf(bytes)).toBe('Tick');
  expect([record.kind, { ...record }]).toEqual(['Tick', { ts: 12, ownerToken: 'o' }]);
  // One class for all versions: code that reads records meets one shape.
  const today = decodeRecord(encodeRecord('Tick', { ts: 1, ownerToken: '' }));
  expect(Object.getPrototypeOf(record)).toBe(Object.getPrototypeOf(today));
});
