import { describe, expect, it } from 'vitest';

import { parseSchema } from '../../schemas/avro.js';
import { fingerprintOf, formatFingerprint, parseFingerprint } from '../../schemas/fingerprint.js';

describe('fingerprint', () => {
  // From the Avro project's schema-tests.txt.
  it.each([
    ['"null"', '63dd24e7cc258f8a'],
    ['"boolean"', '9f42fc78a4d4f764'],
    ['"int"', '7275d51a3f395c8f'],
    ['"long"', 'd054e14493f41db7'],
    ['"string"', '8f014872634503c7'],
    ['"bytes"', '4fc016dac3201965'],
  ])('of %s is the one of the specification', (schema, expected) => {
    expect(formatFingerprint(fingerprintOf(schema))).toBe(expected);
    expect(parseFingerprint(expected)).toEqual(fingerprintOf(schema));
  });

  it('is of the canonical form: documentation, defaults and spelling do not change it', () => {
    const plain = '{"type":"record","name":"a.R","fields":[{"name":"x","type":"long"}]}';
    const rich = `{"name":"R","namespace":"a","doc":"d","type":"record",
      "fields":[{"type":{"type":"long"},"name":"x","default":1,"doc":"e"}]}`;
    expect(parseSchema(plain).canonical).toBe('{"name":"a.R","type":"record","fields":[{"name":"x","type":"long"}]}');
    expect(parseSchema(rich).fingerprint).toEqual(parseSchema(plain).fingerprint);
  });
});
