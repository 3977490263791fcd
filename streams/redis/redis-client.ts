/**
 * Calls to Redis by hash slot, repeated while the trouble may pass.
 *
 * A call is one pipeline to the node that owns the slot. Redirections are followed; connections lost, failovers and moving
 * slots are waited out until `unavailableMs` are over. So everything sent here must bear to be repeated, and to arrive after
 * the caller gave up.
 *
 * Invariant: an open client has seen every node and found it fit (version, eviction policy).
 */
import { isEngineError } from '../../schemas/errors.js';
import type { Clock } from '../clock.js';
import type { Metrics } from '../metrics.js';
import { reactionTo, storeUnavailable } from './redis-fault.js';
import { requireFit } from './redis-fitness.js';
import { NoAnswer, RedisNodes } from './redis-nodes.js';
import type {
  Attempt,
  RedisArgument,
  RedisCall,
  RedisNode,
  RedisNodesOptions,
  Subscriber,
  SubscriberListener,
} from './redis-nodes.js';
import type { RedisScript } from './scripts.js';

export interface RedisClientOptions extends Omit<RedisNodesOptions, 'answerMs'> {
  readonly metrics?: Metrics | undefined;
  /** A call without an answer after this long is taken for lost. */
  readonly answerMs?: number;
  /** A call is repeated for this long before STORE_UNAVAILABLE is thrown. */
  readonly unavailableMs?: number;
}

/** Long enough for a failover to be noticed, short enough for a person who waits. */
export const DEFAULT_ANSWER_MS = 2_000;
export const DEFAULT_UNAVAILABLE_MS = 10_000;
/** Pause before a call is repeated; doubled up to the maximum. */
const PAUSE_MS_MIN = 10;
const PAUSE_MS_MAX = 500;
/** Redirections of one call that are followed without a pause. */
const REDIRECTIONS_MAX = 8;
/** Keys a SCAN looks at in one call: about .2 ms of the server's time. */
const SCAN_COUNT = '500';

export class RedisClient {
  readonly clock: Clock;
  private readonly servers: RedisNodes;
  private readonly answerMs: number;
  private readonly unavailableMs: number;
  private isClosed = false;

  private constructor(private readonly options: RedisClientOptions) {
    this.clock = options.clock;
    this.answerMs = options.answerMs ?? DEFAULT_ANSWER_MS;
    this.unavailableMs = options.unavailableMs ?? DEFAULT_UNAVAILABLE_MS;
    const onError = (code: string): void => this.count('redis_connection_errors_total', { code });
    this.servers = new RedisNodes({ ...options, answerMs: this.answerMs }, onError);
  }

  /** Throws STORE_UNAVAILABLE, STORE_REFUSED (also where a node that answers evicts keys or is too old). */
  static async open(options: RedisClientOptions): Promise<RedisClient> {
    const client = new RedisClient(options);
    try {
      await client.call(0, [{ command: 'PING', args: [] }]);
      for (const node of client.servers.nodes('all')) {
        await client.requireNodeFit(node).catch((error: unknown) => {
          // One that is gone is looked at when it owns a slot again.
          if (!isEngineError(error, 'STORE_UNAVAILABLE')) throw error;
        });
      }
      return client;
    } catch (error) {
      client.close();
      throw error;
    }
  }

  /** Replies in the order of the calls, texts as buffers. Throws the first failure among them. */
  async call(slot: number, calls: readonly RedisCall[], unavailableMs = this.unavailableMs): Promise<unknown[]> {
    const startMs = this.clock.monotonic();
    let attempt: Attempt = { withSource: false, ask: undefined };
    let pauseMs = PAUSE_MS_MIN;
    for (let redirections = 0; ;) {
      try {
        return await this.servers.send(slot, calls, attempt);
      } catch (error) {
        const what = describe(calls);
        const reaction = reactionTo(error, what);
        if (reaction.kind === 'fail') throw reaction.error;
        this.count('redis_retries_total', { reason: 'code' in reaction ? reaction.code : reaction.kind });
        const { withSource } = attempt;
        if (reaction.kind === 'send-source') attempt = { withSource: true, ask: undefined };
        else if (reaction.kind === 'ask') attempt = { withSource, ask: reaction.address };
        else attempt = { withSource, ask: undefined };
        if (reaction.kind === 'moved') this.servers.learnOwner(slot, reaction.address);
        if (reaction.kind !== 'again' && ++redirections <= REDIRECTIONS_MAX) continue;
        const waitedMs = this.clock.monotonic() - startMs;
        if (this.isClosed || waitedMs >= unavailableMs) throw storeUnavailable(what, waitedMs, error);
        this.servers.recover(reaction.kind === 'again' && (reaction.reconnect || error instanceof NoAnswer));
        await this.clock.sleep(pauseMs);
        pauseMs = Math.min(2 * pauseMs, PAUSE_MS_MAX);
      }
    }
  }

  /** One script by itself. */
  async run(
    slot: number,
    script: RedisScript,
    keys: readonly string[],
    args: readonly RedisArgument[],
  ): Promise<unknown> {
    return (await this.call(slot, [{ script, keys, args }]))[0];
  }

  /** One command by itself. */
  async command(slot: number, command: string, ...args: readonly RedisArgument[]): Promise<unknown> {
    return (await this.call(slot, [{ command, args }]))[0];
  }

  /**
   * Keys of a slot that match a pattern, also while the slot is being moved: the node that gives is read to its end before
   * the one that takes. A key may come twice. Throws STORE_UNAVAILABLE when a node goes away meanwhile.
   */
  async *scan(slot: number, pattern: string): AsyncGenerator<Buffer[]> {
    const owner = this.servers.nodeOf(slot);
    yield* this.scanNode(owner, pattern);
    for (const node of this.servers.nodes('master')) {
      if (node === owner) continue;
      const count = await this.onNode(node, 'CLUSTER', 'COUNTKEYSINSLOT', String(slot));
      if (Number(count) > 0) yield* this.scanNode(node, pattern);
    }
  }

  private async *scanNode(node: RedisNode, pattern: string): AsyncGenerator<Buffer[]> {
    let cursor = '0';
    do {
      const reply = await this.onNode(node, 'SCAN', cursor, 'MATCH', pattern, 'COUNT', SCAN_COUNT);
      const [next, keys] = reply as [Buffer, Buffer[]];
      cursor = next.toString();
      if (keys.length > 0) yield keys;
    } while (cursor !== '0');
  }

  /** The owner of a slot may have changed by a failover since it was found fit. */
  async requireOwnerFit(slot: number): Promise<void> {
    await this.requireNodeFit(this.servers.nodeOf(slot));
  }

  private async requireNodeFit(node: RedisNode): Promise<void> {
    const { host, port } = node.options;
    requireFit(String(await this.onNode(node, 'INFO')), `${host}:${port}`);
  }

  /** Of all masters, their children (which rewrite files) included. */
  async serverCpuSeconds(): Promise<number> {
    let seconds = 0;
    for (const node of this.servers.nodes('master')) {
      const text = String(await this.onNode(node, 'INFO', 'cpu'));
      for (const [, value] of text.matchAll(/^used_cpu_(?:sys|user)(?:_children)?:([\d.]+)/gm))
        seconds += Number(value);
    }
    return seconds;
  }

  /** Names the server that owns a slot now: where to subscribe to its channels. undefined when that is not known. */
  ownerOf(slot: number): string | undefined {
    return this.servers.ownerOf(slot);
  }

  openSubscriber(owner: string, listener: SubscriberListener): Subscriber {
    return this.servers.openSubscriber(owner, listener);
  }

  close(): void {
    this.isClosed = true;
    this.servers.close();
  }

  private async onNode(node: RedisNode, command: string, ...args: string[]): Promise<unknown> {
    try {
      return await this.servers.ask(node, command, args);
    } catch (error) {
      const reaction = reactionTo(error, command);
      throw reaction.kind === 'fail' ? reaction.error : storeUnavailable(command, this.answerMs, error);
    }
  }

  private count(name: string, labels: Readonly<Record<string, string>>): void {
    this.options.metrics?.counter(name, METRICS[name]!, labels).inc();
  }
}

const METRICS: Readonly<Record<string, string>> = {
  redis_retries_total: 'Calls to Redis that were repeated, by reason.',
  redis_connection_errors_total: 'Errors of connections to Redis, by code.',
};

function describe(calls: readonly RedisCall[]): string {
  return [...new Set(calls.map((call) => ('command' in call ? call.command : `script ${call.script.name}`)))].join(
    ', ',
  );
}
