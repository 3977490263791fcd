/**
 * Murmur2 as Kafka's Java client uses it (org.apache.kafka.common.utils.Utils#murmur2, seed 0x9747b28c), and with it the
 * partition of a key: `toPositive(murmur2(UTF-8 of key)) % partitions`, the same as Java's default partitioner, so that
 * records written by other clients land on the partition whose owner holds the key's state.
 *
 * Worked example: murmur2("21") = -973932308, made positive 1173551340, over 6 partitions → 0.
 */

const SEED = 0x9747b28c;
const M = 0x5bd1e995;
const R = 24;

/** Signed 32-bit murmur2 of a text's UTF-8 bytes. ASCII is hashed from its character codes, without allocating. */
export function murmur2(text: string): number {
  const length = text.length;
  let hash = SEED ^ length;
  let i = 0;
  for (; i + 4 <= length; i += 4) {
    const a = text.charCodeAt(i);
    const b = text.charCodeAt(i + 1);
    const c = text.charCodeAt(i + 2);
    const d = text.charCodeAt(i + 3);
    if ((a | b | c | d) > 0x7f) return murmur2Bytes(Buffer.from(text, 'utf8'));
    hash = mix(hash, a | (b << 8) | (c << 16) | (d << 24));
  }
  let tail = 0;
  for (let k = 0; i + k < length; k++) {
    const code = text.charCodeAt(i + k);
    if (code > 0x7f) return murmur2Bytes(Buffer.from(text, 'utf8'));
    tail |= code << (8 * k);
  }
  return finish(i < length ? Math.imul(hash ^ tail, M) : hash);
}

export function murmur2Bytes(bytes: Uint8Array): number {
  const length = bytes.length;
  let hash = SEED ^ length;
  let i = 0;
  const at = (index: number): number => bytes[index] as number;
  for (; i + 4 <= length; i += 4) hash = mix(hash, at(i) | (at(i + 1) << 8) | (at(i + 2) << 16) | (at(i + 3) << 24));
  let tail = 0;
  for (let k = 0; i + k < length; k++) tail |= at(i + k) << (8 * k);
  return finish(i < length ? Math.imul(hash ^ tail, M) : hash);
}

/** Partition of a key, 0 to `partitions - 1`. */
export function partitionFor(key: string, partitions: number): number {
  return (murmur2(key) & 0x7fff_ffff) % partitions;
}

function mix(hash: number, word: number): number {
  const scrambled = Math.imul(word, M);
  return Math.imul(hash, M) ^ Math.imul(scrambled ^ (scrambled >>> R), M);
}

function finish(hash: number): number {
  const mixed = Math.imul(hash ^ (hash >>> 13), M);
  return mixed ^ (mixed >>> 15);
}
