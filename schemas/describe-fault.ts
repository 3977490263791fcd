/**
 * Finds out where and why a value does not fit its schema, after a generated writer has refused it.
 *
 * The slow half of encoding, run for faults only: it follows the same rules as compile-writer.ts (a test holds the two
 * together), and its text names the field path, the value and what was expected.
 */
import type { AvroNode } from './avro.js';
import { LONE_SURROGATE } from './binary-writer.js';
import { bucketOf } from './union-bucket.js';

export interface ValueFault {
  /** Field path: `slate[3].propensity`; empty for the value itself. */
  readonly path: string;
  readonly value: unknown;
  readonly expected: string;
}

/** Most characters of a value that an error quotes. */
const QUOTED_CHARACTERS_MAX = 60;

/** The first fault in field order, or undefined when the value fits. */
export function findFault(node: AvroNode, value: unknown, path = ''): ValueFault | undefined {
  const unless = (fits: boolean, expected: string): ValueFault | undefined =>
    fits ? undefined : { path, value, expected };
  switch (node.type) {
    case 'null':
      return unless(value === null, 'null');
    case 'boolean':
      return unless(typeof value === 'boolean', 'true or false');
    case 'int':
      return unless(Number.isInteger(value) && ((value as number) | 0) === value, 'an integer of 32 bits');
    case 'long':
      return unless(Number.isSafeInteger(value), 'an integer within ±(2^53 - 1)');
    case 'float':
      return unless(typeof value === 'number' && Number.isFinite(Math.fround(value)), 'a finite 32-bit number');
    case 'double':
      return unless(Number.isFinite(value), 'a finite number');
    case 'string':
      return unless(typeof value === 'string' && !LONE_SURROGATE.test(value), 'text without lone surrogates');
    case 'bytes':
      return unless(value instanceof Uint8Array, 'a Buffer');
    case 'fixed':
      return unless(value instanceof Uint8Array && value.length === node.size, `a Buffer of ${node.size} bytes`);
    case 'enum':
      return unless(typeof value === 'string' && node.symbols.includes(value), `one of ${node.symbols.join(', ')}`);
    case 'array':
      if (!Array.isArray(value)) return { path, value, expected: 'an array' };
      return firstFault(value, (item, i) => findFault(node.items, item, `${path}[${i}]`));
    case 'map':
      return findMapFault(node.values, value, path);
    case 'union':
      return findUnionFault(node.branches, value, path);
    case 'record': {
      if (typeof value !== 'object' || value === null) return { path, value, expected: `an object of ${node.name}` };
      return firstFault(node.fields, (field) => {
        const part = (value as Record<string, unknown>)[field.name];
        if (part === undefined && field.defaultValue !== undefined) return undefined;
        return findFault(field.node, part, path === '' ? field.name : `${path}.${field.name}`);
      });
    }
  }
}

/** Short text of any value for an error: never longer than a line, never throwing. */
export function quoteValue(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, QUOTED_CHARACTERS_MAX));
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'function' || typeof value === 'symbol') return `a ${typeof value}`;
  if (typeof value !== 'object' || value === null) return String(value);
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (Array.isArray(value)) return `an array of ${value.length}`;
  return 'an object';
}

function findMapFault(values: AvroNode, value: unknown, path: string): ValueFault | undefined {
  const isMap = typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
  if (!isMap) return { path, value, expected: 'an object of values by key' };
  return firstFault(Object.keys(value), (key) => {
    if (key === '__proto__' || LONE_SURROGATE.test(key)) {
      return { path, value: key, expected: 'keys of well-formed text other than __proto__' };
    }
    return findFault(values, (value as Record<string, unknown>)[key], `${path}[${quoteValue(key)}]`);
  });
}

function findUnionFault(branches: readonly AvroNode[], value: unknown, path: string): ValueFault | undefined {
  const bucket = bucketOfValue(value);
  const branch = branches.find((candidate) => bucketOf(candidate) === bucket);
  if (branch !== undefined) return findFault(branch, value, path);
  const faults = branches.map((candidate) => findFault(candidate, value, path)?.expected ?? candidate.type);
  return { path, value, expected: faults.join(', or ') };
}

function bucketOfValue(value: unknown): string {
  if (value === null) return 'null';
  if (value instanceof Uint8Array) return 'bytes';
  if (Array.isArray(value)) return 'array';
  return typeof value;
}

function firstFault<T>(
  items: readonly T[],
  find: (item: T, index: number) => ValueFault | undefined,
): ValueFault | undefined {
  for (let i = 0; i < items.length; i++) {
    const fault = find(items[i] as T, i);
    if (fault !== undefined) return fault;
  }
  return undefined;
}
