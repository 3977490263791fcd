import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AVRO_SCHEMAS } from '../../../schemas/avro-schemas.js';
import { decodeRecord, encodeRecord } from '../../../schemas/codec.js';
import { systemClock } from '../../../streams/clock.js';
import { frameId, frameRecord, SchemaRegistry } from '../../../streams/kafka/schema-registry.js';
import { type RegistryStandIn, startRegistry } from '../../harness/servers/schema-registry.js';

const schemaOf = (kind: string): string => AVRO_SCHEMAS.find((schema) => schema.kind === kind)!.schema;

describe('a schema registry', () => {
  let server: RegistryStandIn;
  let registry: SchemaRegistry;

  beforeEach(async () => {
    server = await startRegistry();
    registry = new SchemaRegistry({ url: server.url, clock: systemClock });
  });
  afterEach(() => server.stop());

  it('makes records in its framing readable, asking once for each id', async () => {
    const id = await registry.register('ticks-value', schemaOf('Tick'));
    expect(await registry.register('ticks-value', schemaOf('Tick'))).toBe(id);
    const reader = new SchemaRegistry({ url: server.url, clock: systemClock });
    const framed = frameRecord(encodeRecord('Tick', { ts: 1_700_000_000_000, ownerToken: 'me' }), id);
    expect(frameId(framed)).toBe(id);
    expect(() => decodeRecord(framed, reader.lookup)).toThrow(
      expect.objectContaining({ code: 'CODEC_UNKNOWN_SCHEMA' }),
    );
    await reader.learn([framed, framed, Buffer.from('not framed')]);
    await reader.learn([framed]);
    expect(decodeRecord(framed, reader.lookup)).toMatchObject({ ts: 1_700_000_000_000, ownerToken: 'me' });
    expect(server.requests.filter((request) => request.startsWith('GET /schemas/ids/'))).toEqual([
      `GET /schemas/ids/${id}`,
    ]);
  });

  it('remembers that an id is not known', async () => {
    const framed = Buffer.from([0, 0, 0, 3, 231, 1]);
    await registry.learn([framed]);
    await registry.learn([framed]);
    expect(registry.lookup(999)).toBeUndefined();
    expect(server.requests.length).toBe(1);
  });

  it('tells subjects and versions, and which schemas it would take', async () => {
    expect(await registry.latest('a/b')).toBeUndefined();
    expect(await registry.isCompatible('a/b', '{}')).toBe(true);
    const id = await registry.register('a/b', '{"type":"string"}');
    expect(await registry.latest('a/b')).toEqual({ subject: 'a/b', id, version: 1, schema: '{"type":"string"}' });
    expect(await registry.subjects()).toEqual(['a/b']);
    server.accepts = () => false;
    expect(await registry.isCompatible('a/b', '{"type":"int"}')).toBe(false);
    await expect(registry.register('a/b', '{"type":"int"}')).rejects.toMatchObject({ code: 'SCHEMA_INCOMPATIBLE' });
    await expect(registry.register('a/b', 'nonsense')).rejects.toMatchObject({ code: 'REGISTRY_FAILED' });
  });

  it('logs in, and says so when nobody answers', async () => {
    const named = new SchemaRegistry({ url: `${server.url}/`, username: 'u', password: 'p', clock: systemClock });
    await named.subjects();
    expect(server.authorizations).toEqual([`Basic ${Buffer.from('u:p').toString('base64')}`]);
    await server.stop();
    await expect(registry.subjects()).rejects.toMatchObject({ code: 'REGISTRY_FAILED', retriable: true });
  });
});
