/**
 * The warehouse on a ClickHouse server somewhere else, by URL: the same client, statements and tables as the embedded one.
 *
 * Nothing is started and nothing is stopped here. While the server is away calls fail as retriable; what was stored is
 * found again by its positions.
 */
import { EngineError } from '../../schemas/errors.js';
import type { Clock } from '../clock.js';
import { ClickhouseWarehouse } from './clickhouse-warehouse.js';
import type { Warehouse } from './warehouse.js';

export interface ClickhouseServerOptions {
  /** Such as `https://clickhouse.internal:8443`; credentials go beside it, not into it. */
  readonly url: string;
  /** `default` by default. */
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** One per namespace. Letters, digits and _. */
  readonly database: string;
  readonly clock: Clock;
}

/** The server stays the same for as long as this process lives, whatever is restarted behind its address. */
const GENERATION = 0;

/** Throws WAREHOUSE_UNAVAILABLE when nobody answers, CONFIG_INVALID for an address that cannot be one. */
export async function openClickhouseServer(options: ClickhouseServerOptions): Promise<Warehouse> {
  const { username = 'default', password = '', database, clock } = options;
  const endpoint = { url: requireAddress(options.url), username, password, generation: GENERATION };
  return ClickhouseWarehouse.open({ endpoint: () => Promise.resolve(endpoint), database, clock });
}

function requireAddress(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed !== undefined && ['http:', 'https:'].includes(parsed.protocol) && parsed.username === '') return url;
  throw new EngineError(
    'CONFIG_INVALID',
    `'${url.replace(/\/\/[^@/]*@/, '//***@')}' is not the address of a ClickHouse server; ` +
      'expected http://HOST:8123 or https://HOST:8443, with user and password in settings of their own',
  );
}
