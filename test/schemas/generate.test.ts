import { readdirSync, readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { historyFileName, renderRecords, renderSchemas, type AvroRecord } from '../../schemas/generate.js';

const readFolder = (folder: string): AvroRecord[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.avsc'))
    .sort()
    .map((name) => JSON.parse(readFileSync(`${folder}/${name}`, 'utf8')) as AvroRecord);

const schemas = readFolder('schemas/avro');
const history = readFolder('schemas/history');

describe('generated files', () => {
  it('are what the schemas say: after a change, run schemas/generate-main.ts', () => {
    expect(readFileSync('schemas/records.ts', 'utf8')).toBe(renderRecords(schemas));
    expect(readFileSync('schemas/avro-schemas.ts', 'utf8')).toBe(renderSchemas(schemas, history));
  });

  it('keep released schemas under a name made of kind and fingerprint', () => {
    const names = readdirSync('schemas/history').sort();
    expect(names).toEqual(history.map(historyFileName).sort());
  });

  it('hold an earlier version only when it differs from the one in force', () => {
    const changed = { ...schemas[0]!, fields: [...schemas[0]!.fields, { name: 'added', type: 'long' as const }] };
    expect(renderSchemas(schemas, schemas)).toContain('AVRO_HISTORY: readonly EmbeddedSchema[] = [];');
    expect(renderSchemas(schemas, [changed]).split('AVRO_HISTORY')[1]).toContain('"added"');
  });

  it('refuse one name with two meanings, and a field that would hide the kind', () => {
    const record = (name: string, fields: AvroRecord['fields']): AvroRecord => ({ type: 'record', name, fields });
    const nested = (type: string): AvroRecord => record('Nested', [{ name: 'x', type }]);
    const twice = [
      record('A', [{ name: 'n', type: nested('int') }]),
      record('B', [{ name: 'n', type: nested('long') }]),
    ];
    expect(() => renderRecords(twice)).toThrow('Nested is defined twice');
    expect(() => renderRecords([record('A', [{ name: 'kind', type: 'string' }])])).toThrow('A.kind would hide');
  });
});
