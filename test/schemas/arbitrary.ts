/**
 * fast-check arbitraries from Avro schemas: any draft that a schema allows, so that properties hold for every record
 * kind there is and ever will be.
 */
import fc from 'fast-check';

import { parseSchema, type AvroNode, type RecordNode, type SchemaSource } from '../../schemas/avro.js';

const text = (): fc.Arbitrary<string> =>
  fc.oneof(fc.string({ maxLength: 70 }), fc.string({ unit: 'binary', maxLength: 20 }), fc.string({ minLength: 20 }));

const key = (): fc.Arbitrary<string> => fc.string({ maxLength: 8 }).filter((value) => value !== '__proto__');

/** Negative zero is left out for integers: as a number it has no encoding of its own. */
const withoutNegativeZero = (value: number): number => (value === 0 ? 0 : value);

export function arbitraryOf(node: AvroNode): fc.Arbitrary<unknown> {
  switch (node.type) {
    case 'null':
      return fc.constant(null);
    case 'boolean':
      return fc.boolean();
    case 'int':
      return fc.integer();
    case 'long':
      return fc.oneof(fc.maxSafeInteger(), fc.integer({ min: -300, max: 300 })).map(withoutNegativeZero);
    case 'float':
      return fc.float({ noNaN: true, noDefaultInfinity: true });
    case 'double':
      return fc.double({ noNaN: true, noDefaultInfinity: true });
    case 'string':
      return text();
    case 'bytes':
      return fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes));
    case 'fixed':
      return fc.uint8Array({ minLength: node.size, maxLength: node.size }).map((bytes) => Buffer.from(bytes));
    case 'enum':
      return fc.constantFrom(...node.symbols);
    case 'array':
      return fc.array(arbitraryOf(node.items), { maxLength: 5 });
    case 'map':
      return fc.dictionary(key(), arbitraryOf(node.values), { maxKeys: 4, noNullPrototype: true });
    case 'union':
      return fc.oneof(...node.branches.map(arbitraryOf));
    case 'record':
      return arbitraryRecord(node);
  }
}

/** Fields with a default are sometimes left out. */
function arbitraryRecord(node: RecordNode): fc.Arbitrary<unknown> {
  const fields = Object.fromEntries(node.fields.map((field) => [field.name, arbitraryOf(field.node)]));
  const required = node.fields.filter((field) => field.defaultValue === undefined).map((field) => field.name);
  return fc.record(fields, { requiredKeys: required, noNullPrototype: true });
}

export const arbitraryOfSchema = (source: SchemaSource): fc.Arbitrary<unknown> => arbitraryOf(parseSchema(source).node);

/** What a draft becomes when it is read back: defaults filled in. */
export function completed(node: AvroNode, value: unknown): unknown {
  if (value === null) return null;
  if (node.type === 'union') {
    const branch = node.branches.find((candidate) => candidate.type !== 'null');
    return branch === undefined ? value : completed(branch, value);
  }
  if (node.type === 'array') return (value as unknown[]).map((item) => completed(node.items, item));
  if (node.type !== 'record') return value;
  const given = value as Record<string, unknown>;
  const entries = node.fields.map((field) => [
    field.name,
    given[field.name] === undefined ? field.defaultValue?.() : completed(field.node, given[field.name]),
  ]);
  return Object.fromEntries(entries) as unknown;
}
