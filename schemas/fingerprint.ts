/**
 * CRC-64-AVRO, the fingerprint that names a schema in single-object encoding (Avro specification 1.11, "Schema
 * Fingerprints"): a Rabin fingerprint of the schema's Parsing Canonical Form.
 *
 * Held as two uint32 halves, because records are told apart by comparing two small integers, never a BigInt.
 * Worked example from the specification's own test vectors: `"int"` → 7275d51a3f395c8f.
 */

export interface Fingerprint {
  readonly low: number;
  readonly high: number;
}

/** Fingerprint of nothing, and the polynomial: c15d213aa4d7a795. */
const EMPTY_HIGH = 0xc15d213a | 0;
const EMPTY_LOW = 0xa4d7a795 | 0;

const TABLE_LOW = new Int32Array(256);
const TABLE_HIGH = new Int32Array(256);
for (let i = 0; i < 256; i++) {
  let low = i;
  let high = 0;
  for (let bit = 0; bit < 8; bit++) {
    const odd = -(low & 1);
    low = ((low >>> 1) | (high << 31)) ^ (EMPTY_LOW & odd);
    high = (high >>> 1) ^ (EMPTY_HIGH & odd);
  }
  TABLE_LOW[i] = low;
  TABLE_HIGH[i] = high;
}

/** Fingerprint of a text, taken as UTF-8. */
export function fingerprintOf(text: string): Fingerprint {
  let low = EMPTY_LOW;
  let high = EMPTY_HIGH;
  for (const byte of Buffer.from(text, 'utf8')) {
    const index = (low ^ byte) & 0xff;
    low = ((low >>> 8) | (high << 24)) ^ (TABLE_LOW[index] as number);
    high = (high >>> 8) ^ (TABLE_HIGH[index] as number);
  }
  return { low: low >>> 0, high: high >>> 0 };
}

/** 16 hexadecimal digits, most significant first: how people and file names spell it. */
export function formatFingerprint(fingerprint: Fingerprint): string {
  const half = (value: number): string => value.toString(16).padStart(8, '0');
  return half(fingerprint.high) + half(fingerprint.low);
}

export function parseFingerprint(text: string): Fingerprint {
  return { high: Number.parseInt(text.slice(0, 8), 16), low: Number.parseInt(text.slice(8, 16), 16) };
}
