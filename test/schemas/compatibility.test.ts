import { readdirSync, readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { AVRO_SCHEMAS } from '../../schemas/avro-schemas.js';
import { findIncompatibilities, requireCompatible } from '../../schemas/compatibility.js';

type Fields = { name: string; type: unknown; default?: unknown }[];
const record = (fields: Fields, name = 'Sample'): Record<string, unknown> => ({ type: 'record', name, fields });
const base: Fields = [
  { name: 'id', type: 'string' },
  { name: 'state', type: { type: 'enum', name: 'State', symbols: ['on', 'off'] } },
  { name: 'note', type: ['null', 'string'], default: null },
  { name: 'parts', type: { type: 'array', items: record([{ name: 'n', type: 'int' }], 'Part') } },
];
const withField = (name: string, field: Fields[number]): Fields => base.map((old) => (old.name === name ? field : old));

describe('released schemas', () => {
  const history = readdirSync('schemas/history').map((file) => ({
    file,
    kind: file.slice(0, file.indexOf('.')),
    schema: readFileSync(`schemas/history/${file}`, 'utf8'),
  }));

  it.each(history)('$file and the one in force read each other', ({ kind, schema }) => {
    const current = AVRO_SCHEMAS.find((candidate) => candidate.kind === kind);
    // A kind that was released stays: the log may still hold it.
    expect(current, kind).toBeDefined();
    requireCompatible(kind, schema, current!.schema);
  });

  it('are there at all', () => {
    expect(history.length).toBeGreaterThanOrEqual(25);
  });
});

describe('compatibility', () => {
  it.each<[string, Fields]>([
    ['nothing changed', base],
    ['a field with a default', [...base, { name: 'added', type: 'long', default: 0 }]],
    [
      'a nullable field with a default',
      [{ name: 'added', type: ['null', 'Part2'].slice(0, 1), default: null }, ...base],
    ],
    ['other order', [...base].reverse()],
    ['a field with a default removed', base.filter((field) => field.name !== 'note')],
  ])('holds for %s', (_, fields) => {
    expect(findIncompatibilities(record(base), record(fields))).toEqual([]);
  });

  it.each<[string, Fields, string, string]>([
    ['a required field added', [...base, { name: 'added', type: 'long' }], 'backward', 'Sample.added'],
    ['a required field removed', base.slice(1), 'forward', 'Sample.id'],
    ['a field renamed', [{ name: 'name', type: 'string' }, ...base.slice(1)], 'forward', 'Sample.id'],
    ['another type', withField('id', { name: 'id', type: 'long' }), 'backward', 'Sample.id'],
    [
      'null no longer allowed',
      withField('note', { name: 'note', type: 'string', default: '' }),
      'backward',
      'Sample.note',
    ],
    ['null newly allowed', withField('id', { name: 'id', type: ['null', 'string'] }), 'forward', 'Sample.id'],
    [
      'a symbol added',
      withField('state', { name: 'state', type: { type: 'enum', name: 'State', symbols: ['on', 'off', 'half'] } }),
      'forward',
      'Sample.state',
    ],
    [
      'a symbol removed',
      withField('state', { name: 'state', type: { type: 'enum', name: 'State', symbols: ['on'] } }),
      'backward',
      'Sample.state',
    ],
    [
      'a nested type narrowed',
      withField('parts', {
        name: 'parts',
        type: { type: 'array', items: record([{ name: 'n', type: 'long' }], 'Part') },
      }),
      'forward',
      'Sample.parts[].n',
    ],
  ])('bites on %s', (_, fields, direction, path) => {
    const findings = findIncompatibilities(record(base), record(fields));
    expect(findings).toContainEqual({ direction, path, reason: expect.any(String) as unknown });
  });

  it('tells all findings in one error, and what to do', () => {
    const broken = record([{ name: 'id', type: 'long' }]);
    expect(() => requireCompatible('Sample', record(base), broken)).toThrow(
      expect.objectContaining({
        code: 'SCHEMA_INCOMPATIBLE',
        message: expect.stringMatching(
          /add fields with a default[^]*backward: Sample\.id[^]*forward: Sample\.state/,
        ) as unknown,
      }),
    );
  });

  it('lets an enum grow when it has a default for what a reader does not know', () => {
    const state = (symbols: string[]): Record<string, unknown> =>
      record([{ name: 's', type: { type: 'enum', name: 'State', symbols, default: 'on' } }]);
    expect(findIncompatibilities(state(['on']), state(['on', 'off']))).toEqual([]);
  });
});
