/**
 * Benchmarks on servers: which Kafka and Redis, as settings. Each run has a namespace of its own and leaves its topics and
 * keys behind: the servers are meant to be thrown away afterwards.
 */
import { EngineError } from '../../schemas/errors.js';
import type { Random } from '../../streams/random.js';

export interface ServerOptions {
  /** `host:port`; both or none. */
  readonly kafka?: string | undefined;
  readonly redis?: string | undefined;
}

/** Settings of log and state on servers; undefined when the run is embedded. Throws USAGE_INVALID for one of the two. */
export function serverSettings({ kafka, redis }: ServerOptions): readonly string[] | undefined {
  if (kafka === undefined && redis === undefined) return undefined;
  if (kafka !== undefined && redis !== undefined) {
    return ['streams.storage=distributed', `kafka.brokers=${kafka}`, `redis.addresses=${redis}`];
  }
  throw new EngineError('USAGE_INVALID', '--kafka and --redis belong together: the log and the state.');
}

/** The same for a whole engine, whose topics are its own; none when the run is embedded. */
export function engineServerSettings(options: ServerOptions, random: Random): readonly string[] {
  const settings = serverSettings(options);
  return settings === undefined ? [] : [...settings, `streams.namespace=bench${random.hex(4)}`];
}
