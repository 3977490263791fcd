/**
 * Turns decoded operator state into what JSON can say: maps, sets, typed arrays and bytes as plain values.
 */

/** Entries shown of a long list or buffer; states are bounded, screens more so. */
const ENTRIES_MAX = 1_000;

export function toPlainJson(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  // JSON has neither; null would read as absent.
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
  if (typeof value !== 'object' || value === null) return typeof value === 'function' ? undefined : value;
  if (Buffer.isBuffer(value)) return value.subarray(0, ENTRIES_MAX).toString('base64');
  if (ArrayBuffer.isView(value))
    return value instanceof DataView ? undefined : bounded(value as unknown as Iterable<unknown>);
  if (Array.isArray(value) || value instanceof Set) return bounded(value as Iterable<unknown>);
  const entries = value instanceof Map ? value : Object.entries(value);
  const plain: [string, unknown][] = [];
  for (const [key, entry] of entries as Iterable<[unknown, unknown]>) {
    if (plain.length >= ENTRIES_MAX) break;
    plain.push([String(key), toPlainJson(entry)]);
  }
  return Object.fromEntries(plain);
}

function bounded(values: Iterable<unknown>): unknown[] {
  const plain: unknown[] = [];
  for (const value of values) {
    if (plain.length >= ENTRIES_MAX) break;
    plain.push(toPlainJson(value) ?? null);
  }
  return plain;
}
