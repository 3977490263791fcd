/**
 * Watches the ends of partitions: long polls that bring new records and wake those who wait for them.
 *
 * A reader that found nothing is parked at its offset. Parked partitions are asked for in long polls, a few at a time on
 * connections of their own ("lanes"): a partition parked while a poll is under way need not wait for that poll to end.
 * What a poll brings goes to the reader's cache, so that the woken reader finds it without another request.
 *
 *     parked ── a lane is free ──> polled ── records ──> cache, listeners woken, no longer parked
 *        ^                           │
 *        └───── nothing came ────────┘
 */
import type { Clock, TimerHandle } from '../clock.js';
import type { Logger } from '../logger.js';
import { type FetchPosition, fetchRequest } from './fetch-request.js';
import type { Channel } from './kafka-client.js';
import { BrokerError, kafkaFault } from './kafka-error.js';
import { FETCH_BYTES_MAX, type PartitionReader } from './partition-reader.js';

export interface WatchContext {
  readonly lanes: readonly Channel[];
  readonly reader: PartitionReader;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onRecords: (topic: string, partition: number) => void;
}

export interface WatchOptions {
  /** Longest poll, ms: bounds how long a parked partition waits when all lanes are busy. */
  readonly pollMs: number;
  readonly partitionBytesMax: number;
}

interface Parked extends FetchPosition {
  polled: boolean;
}

const RETRY_MS = 200;

export class AppendWatch {
  private readonly parked = new Map<string, Parked>();
  private readonly freeLanes: Channel[];
  private readonly running = new Set<Promise<void>>();
  private readonly closing = new AbortController();
  private scheduled = false;
  private later: TimerHandle | undefined;

  constructor(
    private readonly context: WatchContext,
    private readonly options: WatchOptions,
  ) {
    this.freeLanes = [...context.lanes];
  }

  /** Somebody waits for records of a partition from an offset on. */
  park(topic: string, partition: number, offset: number): void {
    const place = `${topic}/${partition}`;
    const known = this.parked.get(place);
    if (known?.offset === offset) return;
    this.parked.set(place, { topic, partition, offset, polled: false });
    this.schedule();
  }

  /** Whether a poll is under way that will tell of new records. */
  watches(topic: string, partition: number): boolean {
    return this.parked.get(`${topic}/${partition}`)?.polled === true;
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    queueMicrotask(() => {
      this.scheduled = false;
      this.dispatch();
    });
  }

  private scheduleLater(): void {
    if (this.later !== undefined) return;
    this.later = this.context.clock.setTimer(RETRY_MS, () => {
      this.later = undefined;
      this.schedule();
    });
  }

  /** A lane polls all partitions of one broker that wait. */
  private dispatch(): void {
    while (this.freeLanes.length > 0 && !this.closing.signal.aborted) {
      const lane = this.freeLanes[0]!;
      const group = this.nextGroup(lane);
      if (group === undefined) return;
      this.freeLanes.shift();
      const run = this.poll(lane, group.node, group.positions).finally(() => {
        this.running.delete(run);
        this.freeLanes.push(lane);
        this.dispatch();
      });
      this.running.add(run);
    }
  }

  private nextGroup(lane: Channel): { node: number; positions: Parked[] } | undefined {
    let node: number | undefined;
    const positions: Parked[] = [];
    for (const position of this.parked.values()) {
      if (position.polled) continue;
      const its = leaderOf(lane, position);
      if (its === undefined) {
        // Without a leader there is nobody to ask: it stays parked until there is one.
        this.scheduleLater();
        continue;
      }
      node ??= its;
      if (its === node) positions.push(position);
    }
    if (node === undefined) return undefined;
    for (const position of positions) position.polled = true;
    return { node, positions };
  }

  private async poll(lane: Channel, node: number, positions: readonly Parked[]): Promise<void> {
    const { reader, clock, logger, onRecords } = this.context;
    const { pollMs, partitionBytesMax } = this.options;
    const grown: Parked[] = [];
    try {
      const limits = { waitMs: pollMs, partitionBytesMax, bytesMax: FETCH_BYTES_MAX };
      const answers = await lane.send(node, fetchRequest(positions, limits));
      for (const position of positions) {
        position.polled = false;
        const { topic, partition, offset } = position;
        const place = `${topic}/${partition}`;
        const fetched = answers.find((one) => one.topic === topic && one.partition === partition);
        if (fetched === undefined || (fetched.error === 0 && fetched.records.length === 0)) continue;
        if (this.parked.get(place) === position) this.parked.delete(place);
        // An error is told to the reader when it asks itself.
        if (fetched.error === 0) reader.take(offset, fetched);
        else void lane.refresh().catch(() => undefined);
        grown.push(position);
        if (fetched.error !== 0) logger.debug('poll', { error: new BrokerError(fetched.error, `read ${place}`) });
      }
    } catch (error) {
      for (const position of positions) position.polled = false;
      if (this.closing.signal.aborted) return;
      logger.debug('poll failed', { error: kafkaFault(error, `poll node ${node}`) });
      await lane.refresh().catch(() => undefined);
      await clock.sleep(RETRY_MS, this.closing.signal).catch(() => undefined);
    }
    for (const { topic, partition } of grown) onRecords(topic, partition);
  }

  async close(): Promise<void> {
    this.closing.abort();
    this.later?.cancel();
    await Promise.all(this.running);
  }
}

function leaderOf(lane: Channel, { topic, partition }: FetchPosition): number | undefined {
  try {
    return lane.leader(topic, partition);
  } catch {
    void lane.refresh().catch(() => undefined);
    return undefined;
  }
}
