/**
 * Whether a node may hold state: it must never evict keys by itself, and must know what the scripts need.
 *
 * An evicted row would be a person forgotten without anybody being told; an evicted head, a partition processed again
 * from its start on top of its own state.
 */
import { EngineError } from '../../schemas/errors.js';

/** Scripts with flags, sharded pub/sub. */
const VERSION_MIN = 7;

/** @param info what INFO answers. Throws STORE_REFUSED. */
export function requireFit(info: string, address: string): void {
  const policy = fieldOf(info, 'maxmemory_policy');
  if (policy !== 'noeviction') {
    throw new EngineError(
      'STORE_REFUSED',
      `Redis at ${address} has maxmemory-policy '${policy}' and would throw state away; set it to 'noeviction'.`,
      { context: { address, policy } },
    );
  }
  const version = fieldOf(info, 'redis_version') ?? '';
  if (!(Number.parseInt(version, 10) >= VERSION_MIN)) {
    throw new EngineError(
      'STORE_REFUSED',
      `Redis at ${address} is version '${version}'; expected ${VERSION_MIN} or later.`,
      {
        context: { address, version },
      },
    );
  }
}

function fieldOf(info: string, name: string): string | undefined {
  return new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1];
}
