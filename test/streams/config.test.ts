/** Configuration: what a person who makes mistakes is told, where values come from, and what is generated. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { isEngineError } from '../../schemas/errors.js';
import { type ConfigSource, defineConfig, defineSection, setting, z } from '../../streams/config.js';
import { renderConfigReference, renderSampleConfig } from '../../streams/config-reference.js';

const store = defineSection(
  'store',
  {
    batchRecords: setting.integer({ default: 500, min: 1, max: 10_000, unit: 'records', description: 'Batch size.' }),
    batchWaitMs: setting.number({
      default: 5,
      min: 0,
      max: 1_000,
      unit: 'ms',
      description: 'Longest wait for a batch.',
    }),
    sync: setting.flag({ default: true, description: 'Whether a commit waits for the disk.' }),
    format: setting.choice(['json', 'avro'], { default: 'avro', description: 'How records are written.' }),
    topics: setting.of(z.array(z.string().min(2)).default(['a|b', 'cc']), { description: 'What to read.' }),
  },
  {
    description: 'Where state lives.',
    check: ({ sync, batchWaitMs }) =>
      sync && batchWaitMs > 500 ? [{ path: 'batchWaitMs', value: batchWaitMs, expected: 'at most 500 with sync' }] : [],
  },
);

const edge = defineSection(
  'edge',
  {
    port: setting.integer({
      default: 8080,
      min: 0,
      max: 65_535,
      description: 'Port to listen on.',
      address: 'FRESHET_PORT',
    }),
    redisUrl: setting.optionalText({ description: 'Address of Redis.', address: 'FRESHET_REDIS_URL' }),
    apiKey: setting.optionalText({ description: 'Key that clients send.', secret: 'FRESHET_API_KEY' }),
  },
  { description: 'What clients talk to.' },
);

const definition = defineConfig({ store, edge }, ({ store: { batchRecords }, edge: { port } }) =>
  port === batchRecords ? [{ path: 'edge.port', value: port, expected: 'another number than store.batchRecords' }] : [],
);

function messageOf(source: ConfigSource): string {
  try {
    definition.load(source);
  } catch (error) {
    if (isEngineError(error, 'CONFIG_INVALID')) return error.message;
    throw error;
  }
  throw new Error('The configuration was accepted');
}

describe('load', () => {
  it('gives every default when nothing is said', () => {
    expect(definition.load()).toEqual({
      store: { batchRecords: 500, batchWaitMs: 5, sync: true, format: 'avro', topics: ['a|b', 'cc'] },
      edge: { port: 8080 },
    });
  });

  it('types and freezes the result to the depths', () => {
    const config = definition.load({ text: 'store: { format: json }' });
    const format: 'json' | 'avro' = config.store.format;
    expect(format).toBe('json');
    expect(Object.isFrozen(config.store.topics)).toBe(true);
  });

  it('does not freeze the defaults of the next load together with this one', () => {
    definition.load();
    expect(definition.load({ text: 'store: { topics: [xx] }' }).store.topics).toEqual(['xx']);
  });

  it('lists all faults with key path, value and expectation, not only the first', () => {
    const text =
      'store:\n  batchRecords: 0\n  format: xml\n  sync: "yes"\n  topics: [ok, x]\nedge:\n  prot: 1\nstroe: {}\n';
    expect(messageOf({ text }).split('\n')).toEqual([
      'The configuration has 6 faults:',
      "  stroe: expected no such key, but 'store'",
      '  store.batchRecords = 0: expected integer 1 to 10000',
      '  store.sync = "yes": expected true or false',
      '  store.format = "xml": expected one of json, avro',
      '  store.topics.1 = "x": expected Too small: expected string to have >=2 characters',
      "  edge.prot: expected no such key, but 'port'",
    ]);
  });

  it('checks the keys of a section against each other, and sections against each other', () => {
    expect(messageOf({ text: 'store: { batchWaitMs: 600 }' })).toContain(
      'store.batchWaitMs = 600: expected at most 500',
    );
    expect(messageOf({ text: 'edge: { port: 500 }' })).toContain('edge.port = 500: expected another number');
  });

  it('lets the environment win over the file, and the command line over both', () => {
    const text = 'edge: { port: 1, redisUrl: "redis://file" }';
    const environment = { FRESHET_PORT: '2', FRESHET_REDIS_URL: '12345', FRESHET_API_KEY: '' };
    expect(definition.load({ text, environment }).edge).toEqual({ port: 2, redisUrl: '12345' });
    expect(definition.load({ text, environment, overrides: ['edge.port=3'] }).edge.port).toBe(3);
  });

  it('lets the environment set nothing but secrets and addresses', () => {
    expect(definition.load({ environment: { FRESHET_BATCH_RECORDS: '1', batchRecords: '1' } })).toEqual(
      definition.load(),
    );
  });

  it.each(['edge.port', 'port=1', '__proto__.x=1', 'edge.port.deeper=1'])('refuses the override %s', (override) => {
    expect(definition.faults({ overrides: [override] })).toHaveLength(1);
    expect(({} as Record<string, unknown>)['x']).toBeUndefined();
  });

  it('reads a file, and says which one is missing or where its YAML breaks', () => {
    const directory = mkdtempSync(join(tmpdir(), 'freshet-config-'));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const file = join(directory, 'freshet.yaml');
    expect(messageOf({ file })).toContain('freshet.yaml: expected a readable file');
    writeFileSync(file, 'edge:\n  port: 9\n  port: 10\n');
    expect(messageOf({ file })).toMatch(/freshet\.yaml:3:3 is not valid YAML: Map keys must be unique/);
    writeFileSync(file, 'edge:\n  port: 9\n');
    expect(definition.load({ file }).edge.port).toBe(9);
  });

  it('refuses a text that is no tree of sections', () => {
    expect(messageOf({ text: '- a' })).toContain('expected sections with keys and values');
    expect(messageOf({ text: 'edge: 3' })).toContain('edge = 3');
  });

  it('never quotes a secret', () => {
    const text = 'edge: { apiKey: [hunter2] }';
    expect(messageOf({ text })).not.toContain('hunter2');
    expect(messageOf({ overrides: ['apiKey=hunter2'] })).not.toContain('hunter2');
  });
});

describe('redacted', () => {
  it('masks secrets and passwords inside addresses', () => {
    const config = definition.load({ text: 'edge: { apiKey: hunter2, redisUrl: "redis://me:pw@host:1" }' });
    expect(definition.redacted(config)['edge']).toEqual({
      port: 8080,
      apiKey: '***',
      redisUrl: 'redis://***@host:1',
    });
  });
});

describe('defineSection', () => {
  it('refuses a key without a description, a default, or a camelCase name', () => {
    const options = { description: 'x' };
    expect(() => defineSection('x', { a: z.string() }, options)).toThrow(/setting\.\*/);
    expect(() => defineSection('x', { a: setting.of(z.string(), { description: 'A.' }) }, options)).toThrow(/default/);
    expect(() => defineSection('x', { 'a-b': setting.flag({ default: true, description: 'A.' }) }, options)).toThrow(
      /camelCase/,
    );
  });
});

describe('generated files', () => {
  it('give a sample that parses to exactly the defaults and holds no secret key', () => {
    const sample = renderSampleConfig(definition.describe());
    expect(definition.load({ text: sample })).toEqual(definition.load());
    expect(sample).not.toMatch(/^ *apiKey:/m);
    expect(sample).toContain('  # Batch size. (integer 1 to 10000, records)\n  batchRecords: 500\n');
  });

  it('give a table with type, default, unit and environment variable of each key', () => {
    const reference = renderConfigReference(definition.describe());
    expect(reference).toContain('| `batchRecords` | integer 1 to 10000 | `500` | records | Batch size. |');
    expect(reference).toContain(
      '| `apiKey` | text | – |  | Key that clients send. Secret; set it by FRESHET_API_KEY. |',
    );
    expect(reference).toContain('a\\|b');
  });
});
