/**
 * Hints over Redis sharded pub/sub: one channel a partition, in a slot of its own, so that a cluster shares the traffic.
 *
 * A sender numbers its messages on each channel. A listener that misses a number, or had to subscribe again (connection
 * lost, failover, slot moved), tells a gap; what was lost last, with nothing behind it, is found by HintRepair's interval.
 * Nothing is kept, and nothing waits for a listener.
 */
import { isEngineError } from '../../schemas/errors.js';
import type { Clock, TimerHandle } from '../clock.js';
import type { Hint } from '../log/event-log.js';
import type { HintBus, HintListener } from '../log/hint-bus.js';
import type { Metrics } from '../metrics.js';
import type { Random } from '../random.js';
import type { RedisClient } from './redis-client.js';
import type { Subscriber } from './redis-nodes.js';
import { slotOfTask, tagOfSlot } from './slot-tags.js';

export interface RedisHintsOptions {
  readonly client: RedisClient;
  readonly namespace: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics?: Metrics | undefined;
}

interface Channel {
  readonly name: string;
  readonly slot: number;
  readonly partition: number;
  readonly listeners: Set<HintListener>;
  /** Number of the latest message of each sender. */
  readonly heard: Map<string, number>;
  /** Where it is subscribed to, or about to be. */
  owner: string | undefined;
  wasSubscribed: boolean;
}

interface Message {
  readonly sender: string;
  readonly number: number;
  readonly hints: readonly Hint[];
}

/** Owners of slots are looked at this often. */
const PLACE_MS = 500;
/** Messages on their way; more are dropped: Redis does not take them, and they would only grow old. */
const IN_FLIGHT_MAX = 256;
/** Senders remembered on a channel: one a worker that lately owned the partition. */
const SENDERS_MAX = 16;

export class RedisHints implements HintBus {
  private readonly sender: string;
  private readonly sent = new Map<string, number>();
  private readonly channels = new Map<string, Channel>();
  private readonly subscribers = new Map<string, Subscriber>();
  private placing: TimerHandle | undefined;
  private inFlight = 0;
  private isClosed = false;

  constructor(private readonly options: RedisHintsOptions) {
    this.sender = options.random.hex(8);
  }

  send(topic: string, hints: readonly Hint[]): void {
    const byPartition = new Map<number, Hint[]>();
    for (const hint of hints) {
      const own = byPartition.get(hint.partition);
      if (own === undefined) byPartition.set(hint.partition, [hint]);
      else own.push(hint);
    }
    for (const [partition, own] of byPartition) this.publish(topic, partition, own);
  }

  private publish(topic: string, partition: number, hints: readonly Hint[]): void {
    const { name, slot } = this.place(topic, partition);
    const number = (this.sent.get(name) ?? 0) + 1;
    this.sent.set(name, number);
    if (this.inFlight >= IN_FLIGHT_MAX || this.isClosed) return this.lose(hints);
    this.inFlight++;
    const message = JSON.stringify({ sender: this.sender, number, hints } satisfies Message);
    this.options.client
      .call(slot, [{ command: 'SPUBLISH', args: [name, message] }], 0)
      .catch((error: unknown) => {
        // It may be lost: the gap in its numbers tells. Anything but the store's own troubles is a bug.
        if (!isEngineError(error)) throw error;
        this.lose(hints);
      })
      .finally(() => this.inFlight--);
  }

  private lose(hints: readonly Hint[]): void {
    this.options.metrics?.counter('redis_hints_lost_total', 'Hints that could not be sent.').inc(hints.length);
  }

  listen(topic: string, partitions: number, listener: HintListener): () => void {
    const own: Channel[] = [];
    for (let partition = 0; partition < partitions; partition++) {
      const { name, slot } = this.place(topic, partition);
      let channel = this.channels.get(name);
      if (channel === undefined) {
        const listeners = new Set<HintListener>();
        channel = { name, slot, partition, listeners, heard: new Map(), owner: undefined, wasSubscribed: false };
        this.channels.set(name, channel);
      }
      channel.listeners.add(listener);
      own.push(channel);
    }
    this.placing ??= this.options.clock.setInterval(PLACE_MS, () => this.placeAll());
    this.placeAll();
    return () => {
      for (const channel of own) {
        channel.listeners.delete(listener);
        if (channel.listeners.size === 0) this.forget(channel);
      }
    };
  }

  close(): void {
    this.isClosed = true;
    this.placing?.cancel();
    for (const subscriber of this.subscribers.values()) subscriber.close();
    this.subscribers.clear();
    this.channels.clear();
  }

  private place(topic: string, partition: number): { name: string; slot: number } {
    const slot = slotOfTask({ stage: topic, partition });
    return { name: `${this.options.namespace}:{${tagOfSlot(slot)}}${topic}/${partition}:hints`, slot };
  }

  private forget(channel: Channel): void {
    this.channels.delete(channel.name);
    if (channel.owner !== undefined) this.leave(channel.owner, channel.name);
  }

  private leave(owner: string, name: string): void {
    // A server that does not answer has forgotten the subscription, or goes with its connection.
    this.subscribers
      .get(owner)
      ?.unsubscribe(name)
      .catch(() => undefined);
  }

  /** Subscribes to every channel where its slot is now; gives up connections to servers that own none of them. */
  private placeAll(): void {
    for (const channel of this.channels.values()) {
      const owner = this.options.client.ownerOf(channel.slot);
      if (owner === undefined || owner === channel.owner) continue;
      if (channel.owner !== undefined) this.leave(channel.owner, channel.name);
      this.subscribe(channel, owner);
    }
    const owners = new Set([...this.channels.values()].map(({ owner }) => owner));
    for (const [owner, subscriber] of this.subscribers) {
      if (owners.has(owner)) continue;
      subscriber.close();
      this.subscribers.delete(owner);
    }
  }

  private subscribe(channel: Channel, owner: string): void {
    channel.owner = owner;
    this.subscriberOf(owner)
      .subscribe(channel.name)
      .then(() => {
        if (channel.owner !== owner) return;
        channel.heard.clear();
        if (channel.wasSubscribed) this.gap(channel);
        channel.wasSubscribed = true;
      })
      .catch(() => {
        // Not reached, or not the owner any more: the next look tries again.
        if (channel.owner === owner) channel.owner = undefined;
      });
  }

  private subscriberOf(owner: string): Subscriber {
    let subscriber = this.subscribers.get(owner);
    if (subscriber !== undefined) return subscriber;
    const again = (): void => {
      for (const channel of this.channels.values()) if (channel.owner === owner) channel.owner = undefined;
      if (!this.isClosed) this.placeAll();
    };
    let isFirst = true;
    subscriber = this.options.client.openSubscriber(owner, {
      onReady: () => {
        if (!isFirst) again();
        isFirst = false;
      },
      onMoved: again,
      onMessage: (name, message) => this.hear(name, message),
    });
    this.subscribers.set(owner, subscriber);
    return subscriber;
  }

  private hear(name: string, bytes: Buffer): void {
    const channel = this.channels.get(name);
    if (channel === undefined) return;
    const { sender, number, hints } = JSON.parse(bytes.toString()) as Message;
    const before = channel.heard.get(sender);
    channel.heard.delete(sender);
    channel.heard.set(sender, Math.max(number, before ?? 0));
    if (channel.heard.size > SENDERS_MAX) channel.heard.delete(channel.heard.keys().next().value!);
    for (const { onHints } of channel.listeners) onHints(hints);
    if (before !== undefined && number > before + 1) this.gap(channel);
  }

  private gap({ listeners, partition }: Channel): void {
    this.options.metrics?.counter('redis_hint_gaps_total', 'Times that hints may have been lost.').inc();
    for (const { onGap } of listeners) onGap(partition);
  }
}
