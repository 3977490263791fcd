import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { createRecordType, createStateCodec } from '../../schemas/record-type.js';
import { arbitraryOfSchema } from './arbitrary.js';

const everything = {
  type: 'record',
  name: 'Everything',
  fields: [
    { name: 'flag', type: 'boolean' },
    { name: 'hash', type: { type: 'fixed', name: 'Hash', size: 3 } },
    { name: 'either', type: ['null', 'string', 'double', 'boolean', 'bytes', { type: 'array', items: 'int' }] },
    { name: 'nested', type: { type: 'map', values: { type: 'map', values: 'float' } } },
    { name: 'lists', type: { type: 'array', items: { type: 'array', items: ['null', 'long'] } } },
  ],
};

const tree = {
  type: 'record',
  name: 'Tree',
  fields: [
    { name: 'value', type: 'int' },
    { name: 'children', type: { type: 'array', items: 'Tree' } },
  ],
};

describe('record type', () => {
  it('gives back any value of a schema of the caller', () => {
    const type = createRecordType<object>(everything);
    fc.assert(
      fc.property(arbitraryOfSchema(everything), (value) => {
        expect({ ...type.decode(type.encode(value as object)) }).toEqual(value);
      }),
      { numRuns: 40 },
    );
  });

  it('reads from a position, and writes into a buffer', () => {
    const type = createRecordType<{ n: number }>({ type: 'record', name: 'N', fields: [{ name: 'n', type: 'long' }] });
    const target = Buffer.alloc(6);
    expect(type.encodeInto({ n: 300 }, target, 4)).toBe(6);
    expect({ ...type.decode(target, 4) }).toEqual({ n: 300 });
    expect(type.encodeInto({ n: 300 }, target, 5)).toBe(-1);
  });

  it('holds large values, and recursive ones within the stack', () => {
    const text = createRecordType<string>('"string"');
    expect(text.decode(text.encode('é'.repeat(2_000_000)))).toHaveLength(2_000_000);
    const type = createRecordType<object>(tree);
    const leaf = { value: 1, children: [] };
    expect(type.decode(type.encode({ value: 2, children: [leaf, leaf] }))).toMatchObject({ children: [leaf, leaf] });
    // Each level is three bytes; there are far more levels than stack.
    const deep = Buffer.alloc(3_000_000, Buffer.from([2, 2]));
    expect(() => type.decode(deep)).toThrow(expect.objectContaining({ code: 'CODEC_CORRUPT' }));
  });

  it('refuses schemas that are not valid, or not safe to read', () => {
    expect(() => createRecordType('{"type":"record"}')).toThrow(
      expect.objectContaining({ code: 'SCHEMA_INCOMPATIBLE' }),
    );
    expect(() => createRecordType('not JSON')).toThrow('is not a valid Avro schema');
    const type = createRecordType<null[]>({ type: 'array', items: 'null' });
    expect(() => type.decode(Buffer.of(2, 0))).toThrow('values that take no bytes');
  });
});

describe('state codec', () => {
  const first = { type: 'record', name: 'Counter', fields: [{ name: 'count', type: 'int' }] };
  const second = {
    type: 'record',
    name: 'Counter',
    fields: [
      { name: 'count', type: 'long' },
      { name: 'names', type: { type: 'array', items: 'string' }, default: [] },
    ],
  };
  interface Counter {
    count: number;
    names: string[];
  }

  it('reads what an earlier version wrote as if written today', () => {
    const bytes = createStateCodec<{ count: number }>(first).encode({ count: 7 });
    const codec = createStateCodec<Counter>(second, { version: 2, previous: { 1: first } });
    expect({ ...codec.decode(bytes, 1) }).toEqual({ count: 7, names: [] });
    expect({ ...codec.decode(codec.encode({ count: 8, names: ['a'] })) }).toEqual({ count: 8, names: ['a'] });
  });

  it('gives each value its own defaults', () => {
    const bytes = createStateCodec<{ count: number }>(first).encode({ count: 7 });
    const codec = createStateCodec<Counter>(second, { version: 2, previous: { 1: first } });
    codec.decode(bytes, 1).names.push('mine');
    expect(codec.decode(bytes, 1).names).toEqual([]);
  });

  it('names versions it does not know, and bytes it cannot read', () => {
    const codec = createStateCodec<Counter>(second, { version: 2, previous: { 1: first } });
    expect(() => codec.decode(Buffer.of(0), 3)).toThrow(
      expect.objectContaining({
        code: 'STATE_VERSION_UNKNOWN',
        message: expect.stringContaining('this build reads 1, 2') as unknown,
      }),
    );
    expect(() => codec.decode(Buffer.of(0x80), 1)).toThrow(expect.objectContaining({ code: 'STATE_CORRUPT' }));
    expect(() => codec.encode({ count: 0.5, names: [] })).toThrow(
      expect.objectContaining({
        code: 'INVARIANT_VIOLATED',
        message: expect.stringContaining('Counter.count is 0.5') as unknown,
      }),
    );
  });

  it('refuses at once a change that could not read stored state', () => {
    expect(() => createStateCodec(first, { version: 2, previous: { 1: { ...first, name: 'Other' } } })).toThrow(
      expect.objectContaining({ code: 'SCHEMA_INCOMPATIBLE' }),
    );
  });
});
