/** The files for running the engine in containers: parsed, loaded, and held against each other. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { freshetConfig } from '../../jobs/config.js';
import { parseYaml } from '../../streams/yaml.js';

interface Service {
  readonly image?: string;
  readonly build?: string;
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: object;
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

const ROOT = process.cwd();
const read = (file: string): unknown => parseYaml(readFileSync(join(ROOT, file), 'utf8'), file, 'CONFIG_INVALID');
const compose = read('docker-compose.yml') as Compose;
const services = Object.entries(compose.services).map(([name, service]) => [name, merged(service)] as const);

/** YAML's merge keys are resolved by Compose; our reader leaves them as they stand. */
function merged<T extends object>(node: T): T {
  const { '<<': base, ...own } = node as T & { '<<'?: T };
  const all = { ...(base === undefined ? {} : merged(base)), ...own } as Record<string, unknown>;
  for (const [key, value] of Object.entries(all)) {
    if (typeof value === 'object' && value !== null && '<<' in value) all[key] = merged(value);
  }
  return all as T;
}

describe('docker-compose.yml', () => {
  it('lets nothing depend on a service that is not there, or on the health of one that does not tell it', () => {
    const faults = services.flatMap(([name, { depends_on = {} }]) =>
      Object.entries(depends_on).flatMap(([other, { condition }]) => {
        const target = compose.services[other];
        if (target === undefined) return [`${name} depends on ${other}, which is not a service`];
        if (condition === 'service_healthy' && target.healthcheck === undefined) return [`${other} tells no health`];
        return [];
      }),
    );
    expect(faults).toEqual([]);
  });

  it('mounts only files and volumes that there are', () => {
    const sources = services.flatMap(([, { volumes = [] }]) =>
      volumes.filter((volume) => volume.includes(':')).map((volume) => volume.split(':', 1)[0]!),
    );
    const missing = sources.filter((source) =>
      source.startsWith('.') ? !existsSync(join(ROOT, source)) : !(source in compose.volumes),
    );
    expect(missing).toEqual([]);
    expect(sources.length).toBeGreaterThan(5);
  });

  it('runs roles of the engine with a configuration that loads from the environment it gives', () => {
    const own = services.filter(([, { build }]) => build !== undefined);
    const roles = own.map(([, { command = [] }]) => command[command.indexOf('--roles') + 1]);
    expect(roles.sort()).toEqual(['serve', 'stream', 'warehouse']);
    for (const [, { environment = {} }] of own) {
      const keys = environment['FRESHET_API_KEYS']?.replace(/\$\{[^}]*\}/, 'shop:0123456789abcdef');
      const given = {
        ...environment,
        ...(keys === undefined ? {} : { FRESHET_API_KEYS: keys }),
        FRESHET_CLICKHOUSE_PASSWORD: 'secret',
      };
      const config = freshetConfig.load({ file: join(ROOT, 'deploy/freshet.yaml'), environment: given });
      expect(config.streams.storage).toBe('distributed');
      expect(config.kafka.brokers).toBe('kafka:9092');
      expect(config.redis.addresses).toBe('redis:6379');
      expect(config.warehouse.url).toBe('http://clickhouse:8123');
    }
  });

  it('refuses a distributed engine that is told no brokers', () => {
    const load = (): unknown => freshetConfig.load({ file: join(ROOT, 'deploy/freshet.yaml'), environment: {} });
    expect(load).toThrow(/kafka\.brokers/);
  });
});
