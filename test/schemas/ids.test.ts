import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { EngineError } from '../../schemas/errors.js';
import {
  hash32,
  ID_BYTES_MAX,
  murmur2,
  partitionFor,
  requireItemId,
  requireUserId,
  sessionRef,
} from '../../schemas/ids.js';
import { murmur2Bytes } from '../../schemas/murmur.js';

describe('ids', () => {
  it('accept text up to the limit, in bytes', () => {
    expect(requireUserId('u-1')).toBe('u-1');
    expect(requireItemId('é'.repeat(128))).toHaveLength(128);
    expect(requireUserId('x'.repeat(ID_BYTES_MAX))).toHaveLength(256);
  });

  it.each([
    ['', '""'],
    ['x'.repeat(257), `"${'x'.repeat(60)}"`],
    ['é'.repeat(129), `"${'é'.repeat(60)}"`],
    ['a\nb', '"a\\nb"'],
    ['a\u0085b', 'expected text of 1 to 256 UTF-8 bytes without control characters'],
    ['a\ud800', '"a\\ud800"'],
    [7, 'number'],
    [undefined, 'undefined'],
  ])('refuse %j, naming the field and quoting its start', (value, quoted) => {
    const refuse = (): unknown => requireUserId(value, 'events[3].userId');
    expect(refuse).toThrow(EngineError);
    expect(refuse).toThrow(`events[3].userId is `);
    expect(refuse).toThrow(quoted);
  });
});

describe('murmur2', () => {
  // From Kafka's own UtilsTest#testMurmur2.
  it.each([
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ])('of %s is what the Java client computes', (text, hash) => {
    expect(murmur2(text)).toBe(hash);
  });

  it('hashes character codes as it hashes UTF-8 bytes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(murmur2(text)).toBe(murmur2Bytes(Buffer.from(text, 'utf8')));
      }),
    );
  });

  it('gives partitions in range, evenly', () => {
    const counts = new Array<number>(12).fill(0);
    for (let i = 0; i < 12_000; i++) counts[partitionFor(`user-${i}`, 12)]! += 1;
    expect(Math.min(...counts)).toBeGreaterThan(880);
    expect(Math.max(...counts)).toBeLessThan(1120);
  });
});

describe('sessionRef', () => {
  it('never changes: stored data holds it', () => {
    expect([sessionRef('', ''), sessionRef('user-1', 'session-1'), hash32(''), hash32('user-1')])
      .toMatchInlineSnapshot(`
      [
        4446763975410778,
        3922184594713724,
        2872998923,
        987844803,
      ]
    `);
  });

  it('keeps its two parts apart', () => {
    expect(sessionRef('ab', 'c')).not.toBe(sessionRef('a', 'bc'));
  });

  it('is a safe integer that spreads over its 53 bits', () => {
    const seen = new Set<number>();
    const bits = new Array<number>(53).fill(0);
    for (let i = 0; i < 20_000; i++) {
      const ref = sessionRef(`user-${i % 500}`, `s${i}`);
      expect(Number.isSafeInteger(ref)).toBe(true);
      seen.add(ref);
      for (let bit = 0; bit < 53; bit++) if (Math.floor(ref / 2 ** bit) % 2 === 1) bits[bit]! += 1;
    }
    expect(seen.size).toBe(20_000);
    for (const count of bits) expect(Math.abs(count - 10_000)).toBeLessThan(450);
  });
});

describe('hash32', () => {
  it('spreads near-equal texts over buckets', () => {
    const buckets = new Array<number>(64).fill(0);
    for (let i = 0; i < 64_000; i++) buckets[hash32(`item-${i}`) % 64]! += 1;
    expect(Math.min(...buckets)).toBeGreaterThan(860);
    expect(Math.max(...buckets)).toBeLessThan(1140);
  });
});
