/**
 * Connections to the servers of one Redis: a single one, one behind Sentinels, or the nodes of a cluster. One try of a call,
 * with nothing repeated; redis-client.ts does that. This file alone imports ioredis.
 *
 * Redirections of a cluster are not followed here nor by ioredis, whose cluster client hashes every key of every command:
 * the caller knows the slot.
 */
import { Cluster, Redis } from 'ioredis';
import type { Clock, TimerHandle } from '../clock.js';
import type { RedisScript } from './scripts.js';

export interface RedisAddress {
  readonly host: string;
  readonly port: number;
}

export type RedisTopology =
  | { readonly mode: 'standalone'; readonly address: RedisAddress; readonly database?: number }
  | { readonly mode: 'sentinel'; readonly sentinels: readonly RedisAddress[]; readonly name: string }
  | { readonly mode: 'cluster'; readonly nodes: readonly RedisAddress[] };

export interface RedisNodesOptions {
  readonly topology: RedisTopology;
  readonly clock: Clock;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly tls?: boolean | undefined;
  /** A call without an answer after this long is taken for lost. */
  readonly answerMs: number;
}

/** What happens on a connection for subscriptions. */
export interface SubscriberListener {
  /** Connected, again or for the first time; nothing is subscribed to. */
  readonly onReady: () => void;
  /** A channel's slot went to another server. */
  readonly onMoved: () => void;
  readonly onMessage: (channel: string, message: Buffer) => void;
}

export interface Subscriber {
  subscribe(channel: string): Promise<void>;
  unsubscribe(channel: string): Promise<void>;
  close(): void;
}

export type RedisArgument = string | Buffer;
export type RedisCall =
  | { readonly command: string; readonly args: readonly RedisArgument[] }
  | { readonly script: RedisScript; readonly keys: readonly string[]; readonly args: readonly RedisArgument[] };

/** One server, as `RedisNodes` hands it out. */
export type RedisNode = Redis;

/** How often new masters are looked for without a reason. */
const SLOTS_REFRESH_MS = 2_000;
/** Pause before a lost connection is made again; doubled up to the maximum. */
const RECONNECT_MS_MIN = 10;
const RECONNECT_MS_MAX = 500;

export class NoAnswer extends Error {}

/** How one try of a call goes. */
export interface Attempt {
  /** Send scripts with their source, not by name. */
  readonly withSource: boolean;
  /** The node to ask instead, for this try only. */
  readonly ask: string | undefined;
}

export class RedisNodes {
  private readonly client: Redis | Cluster;
  private readonly refreshing: TimerHandle | undefined;

  /** @param onError told of errors of connections; every call reports its own failure besides. */
  constructor(
    private readonly options: RedisNodesOptions,
    private readonly onError: (code: string) => void,
  ) {
    this.client = connect(options);
    // Without a listener ioredis prints to the console.
    this.client.on('error', (error: unknown) => onError(codeOf(error)));
    // Not by ioredis: a look of its own that is under way when the client is closed arms the next one, for ever.
    const { client } = this;
    if (client instanceof Cluster) {
      this.refreshing = options.clock.setInterval(SLOTS_REFRESH_MS, () => client.refreshSlotsCache());
    }
  }

  close(): void {
    this.refreshing?.cancel();
    this.client.disconnect();
  }

  /** Replies in the order of the calls, texts as buffers. Throws the first failure among them. */
  async send(slot: number, calls: readonly RedisCall[], { withSource, ask }: Attempt): Promise<unknown[]> {
    const node = ask === undefined ? this.nodeOf(slot) : this.nodeAt(ask);
    if (calls.length === 1 && ask === undefined) {
      const [command, ...args] = words(calls[0]!, withSource);
      return [await this.answered(node.callBuffer(command as string, args))];
    }
    const pipeline = node.pipeline();
    for (const call of calls) {
      if (ask !== undefined) pipeline.callBuffer('ASKING');
      const [command, ...args] = words(call, withSource);
      pipeline.callBuffer(command as string, args);
    }
    const replies = (await this.answered(pipeline.exec())) ?? [];
    const own = ask === undefined ? replies : replies.filter((_, i) => i % 2 === 1);
    for (const [error] of own) if (error !== null) throw error;
    return own.map(([, reply]) => reply);
  }

  /** One command to one server. */
  ask(node: RedisNode, command: string, args: readonly string[]): Promise<unknown> {
    return this.answered(node.callBuffer(command, [...args]));
  }

  /** The reply, or an error after `answerMs`. */
  private answered<T>(reply: Promise<T>): Promise<T> {
    const { clock, answerMs } = this.options;
    return new Promise<T>((resolve, reject) => {
      const timer = clock.setTimer(answerMs, () => reject(new NoAnswer(`no answer in ${answerMs} ms`)));
      reply.finally(() => timer.cancel()).then(resolve, reject);
    });
  }

  nodes(role: 'all' | 'master'): Redis[] {
    return this.client instanceof Cluster ? this.client.nodes(role) : [this.client];
  }

  nodeOf(slot: number): Redis {
    if (!(this.client instanceof Cluster)) return this.client;
    const address = this.client.slots[slot]?.[0];
    if (address === undefined) throw new Error(`the owner of slot ${slot} is not known yet`);
    return this.nodeAt(address);
  }

  nodeAt(address: string): Redis {
    const node = this.nodes('all').find(({ options: { host, port } }) => `${host}:${port}` === address);
    if (node === undefined) throw new Error(`node ${address} is not connected`);
    return node;
  }

  learnOwner(slot: number, address: string): void {
    if (!(this.client instanceof Cluster)) return;
    this.client.slots[slot] = [address];
    this.client.refreshSlotsCache();
  }

  /** Looks again for who is the master now. */
  recover(reconnect: boolean): void {
    if (this.client instanceof Cluster) this.client.refreshSlotsCache();
    else if (reconnect && this.options.topology.mode === 'sentinel') this.client.disconnect(true);
  }

  /** Names the server that owns a slot now: where to subscribe to its channels. undefined when that is not known. */
  ownerOf(slot: number): string | undefined {
    return this.client instanceof Cluster ? this.client.slots[slot]?.[0] : 'master';
  }

  /** A connection for subscriptions to an owner, as `ownerOf` named it. The caller closes it; it reconnects by itself. */
  openSubscriber(owner: string, listener: SubscriberListener): Subscriber {
    const separator = owner.lastIndexOf(':');
    const node = { host: owner.slice(0, separator), port: Number(owner.slice(separator + 1)) };
    const { topology } = this.options;
    const at: RedisTopology = topology.mode === 'cluster' ? { mode: 'standalone', address: node } : topology;
    const connection = connect({ ...this.options, topology: at }) as Redis;
    connection.on('error', (error: unknown) => this.onError(codeOf(error)));
    connection.on('ready', listener.onReady);
    connection.on('moved', listener.onMoved);
    connection.on('smessageBuffer', (channel: Buffer, message: Buffer) =>
      listener.onMessage(channel.toString(), message),
    );
    return {
      subscribe: async (channel) => void (await this.answered(connection.ssubscribe(channel))),
      unsubscribe: async (channel) => void (await this.answered(connection.sunsubscribe(channel))),
      close: () => connection.disconnect(),
    };
  }
}

function words(call: RedisCall, withSource: boolean): RedisArgument[] {
  if ('command' in call) return [call.command, ...call.args];
  const { script, keys, args } = call;
  const head = withSource ? ['EVAL', script.source] : ['EVALSHA', script.sha];
  return [...head, String(keys.length), ...keys, ...args];
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'OTHER';
}

function connect(options: RedisNodesOptions): Redis | Cluster {
  const { topology, username, password, tls } = options;
  const common = {
    // A lost command is repeated, and a lost subscription made again, by whoever knows what it was.
    autoResubscribe: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    enableReadyCheck: true,
    protocol: 2 as const,
    disableClientInfo: true,
    connectTimeout: options.answerMs,
    retryStrategy: (times: number) => Math.min(RECONNECT_MS_MIN * 2 ** times, RECONNECT_MS_MAX),
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls === true ? { tls: {} } : {}),
  };
  switch (topology.mode) {
    case 'standalone':
      return new Redis({ ...common, ...topology.address, db: topology.database ?? 0 });
    case 'sentinel': {
      const sentinels = topology.sentinels.map(({ host, port }) => ({ host, port }));
      return new Redis({ ...common, sentinels, name: topology.name, failoverDetector: true });
    }
    case 'cluster': {
      const { retryStrategy: _, ...redisOptions } = common;
      return new Cluster([...topology.nodes], {
        redisOptions,
        slotsRefreshInterval: 0,
        slotsRefreshTimeout: options.answerMs,
        clusterRetryStrategy: (times) => Math.min(RECONNECT_MS_MIN * 2 ** times, RECONNECT_MS_MAX),
      });
    }
  }
}

/** `host:port`, several by commas; undefined when it is not that. */
export function parseAddresses(text: string): RedisAddress[] | undefined {
  const addresses: RedisAddress[] = [];
  for (const part of text.split(',')) {
    const match = /^\s*(\[[^\]]+\]|[^:\s]+):(\d{1,5})\s*$/.exec(part);
    const port = Number(match?.[2]);
    if (match === null || port > 65_535) return undefined;
    addresses.push({ host: match[1]!.replace(/^\[|\]$/g, ''), port });
  }
  return addresses;
}
