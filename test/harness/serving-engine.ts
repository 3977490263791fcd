/**
 * A serving node over an in-memory log with a small fake engine behind it: for tests of the edge and for benchmarks.
 *
 * The fake recommender ranks a fixed catalogue, the items a user met last first; so every event visibly moves the feed.
 * `foldEvents` plays stream stage 1: it reads what was appended, moves users, and sends hints.
 */
import { decodeRecord } from '../../schemas/codec.js';
import { partitionFor } from '../../schemas/ids.js';
import type { AnyRecord } from '../../schemas/records.js';
import { topicName, TOPICS } from '../../schemas/topics.js';
import { defineConfig } from '../../streams/config.js';
import { type Clock, systemClock } from '../../streams/clock.js';
import type { Hint } from '../../streams/log/event-log.js';
import { type Logger, silentLogger } from '../../streams/logger.js';
import { MemoryLog } from '../../streams/memory/memory-log.js';
import { createMetrics } from '../../streams/metrics.js';
import { seededRandom } from '../../streams/random.js';
import { type ServingConfig, servingSection } from '../../serving/config.js';
import type {
  ItemCard,
  RecommendationRequest,
  RecommendedItem,
  UserSnapshot,
  UserView,
} from '../../serving/node/ports.js';
import { ServingNode } from '../../serving/node/serving-node.js';

export const NAMESPACE = 'test';
export const USER_EVENTS = topicName(NAMESPACE, TOPICS.userEvents);
export const ITEM_EVENTS = topicName(NAMESPACE, TOPICS.itemEvents);
export const FEED_HINTS = topicName(NAMESPACE, TOPICS.feedHints);
const PARTITIONS = 4;
const ITEMS = 50;

export interface ServingEngineOptions {
  readonly config?: Partial<ServingConfig>;
  readonly clock?: Clock;
  readonly logger?: Logger;
  readonly streamLag?: () => number;
  readonly freeDiskBytes?: () => number;
  readonly tableLag?: () => number;
}

interface ToldResult {
  readonly status: string;
  readonly index: number;
  readonly line: number;
  readonly code: string;
  readonly reason: string;
}

/** Whatever an answer may hold; a test looks at what its route answers. */
export interface AnswerBody {
  readonly error: { readonly code: string; readonly message: string; readonly field: string };
  readonly eventId: string;
  readonly status: string;
  readonly accepted: number;
  readonly rejected: number;
  readonly results: readonly ToldResult[];
  readonly errors: readonly ToldResult[];
  readonly items: readonly (RecommendedItem & { position: number; title: string })[];
  readonly requestId: string;
  readonly cursor: string | undefined;
  readonly version: string;
  readonly generatedAt: number;
  readonly operators: Readonly<Record<string, unknown>>;
  readonly activeUsers: readonly string[];
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
  readonly body: AnswerBody;
}

export class ServingEngine {
  readonly log: MemoryLog;
  readonly node: ServingNode;
  readonly metrics = createMetrics({ namespace: NAMESPACE });
  readonly withdrawn = new Set<string>();
  /** Items a user met, latest first; and where the state stands. */
  readonly users = new Map<string, { offset: number; items: string[] }>();
  recommendCalls = 0;
  readCalls = 0;
  port = 0;
  private readonly positions = new Array<number>(PARTITIONS).fill(0);
  private stopFolding: (() => void) | undefined;

  constructor(options: ServingEngineOptions = {}) {
    const clock = options.clock ?? systemClock;
    this.log = new MemoryLog({ clock });
    this.log.createTopicsNow(
      Object.values(TOPICS).map((topic) => ({
        name: topicName(NAMESPACE, topic),
        partitions: PARTITIONS,
        class: topic.class,
      })),
    );
    const { serving } = defineConfig({ serving: servingSection }).load();
    this.node = new ServingNode({
      config: { ...serving, port: 0, ...options.config },
      namespace: NAMESPACE,
      generation: () => 1,
      version: '0.0.0-test',
      log: this.log,
      recommender: {
        rank: (request) => this.rank(request),
        similarItems: (itemId, n) =>
          this.ranked([], n + 1)
            .filter((item) => item.itemId !== itemId)
            .slice(0, n),
        trending: ({ n }) => this.ranked([], n),
        popular: ({ n }) => this.ranked([], n),
      },
      users: { read: (userIds) => Promise.resolve(userIds.map((userId) => this.view(userId))) },
      states: { get: (_stage, key) => Promise.resolve(this.state(key)) },
      userStage: 'users',
      catalogue: {
        card: (itemId) => this.card(itemId),
        isServable: (itemId) => !this.withdrawn.has(itemId),
        isKnown: (itemId) => this.card(itemId) !== undefined,
      },
      followers: [
        {
          open: () => Promise.resolve(),
          lag: () => Promise.resolve(options.tableLag?.() ?? 0),
          close: () => Promise.resolve(),
        },
      ],
      gauges: {
        streamLag: () => Promise.resolve(options.streamLag?.() ?? 0),
        freeDiskBytes: () => Promise.resolve(options.freeDiskBytes?.() ?? Infinity),
      },
      clock,
      random: seededRandom('serving'),
      metrics: this.metrics,
      logger: options.logger ?? silentLogger,
    });
  }

  async start(): Promise<this> {
    this.port = await this.node.start();
    return this;
  }

  async stop(): Promise<void> {
    this.stopFolding?.();
    await this.node.stop();
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get feedUrl(): string {
    return `ws://127.0.0.1:${this.port}/v1/feed`;
  }

  /** JSON in, JSON out, without a socket. A text or buffer is sent as it is. */
  async call(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    url: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const {
      status,
      payload,
      headers: answered,
    } = await this.node.http.inject({
      method,
      url,
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(body !== undefined && {
        body: typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body),
      }),
    });
    const isJson = String(answered['content-type']).startsWith('application/json');
    return { status, headers: answered, text: payload, body: (isJson ? JSON.parse(payload) : {}) as AnswerBody };
  }

  /** Every record of a topic, partition by partition. */
  records(topic: string): AnyRecord[] {
    return Array.from({ length: PARTITIONS }, (_, partition) => partition).flatMap((partition) =>
      this.log
        .readNow(topic, partition, 0, { recordsMax: 1_000_000, bytesMax: 1 << 30 })
        .records.map((record) => decodeRecord(record.value)),
    );
  }

  /** Moves a user by hand and hints it. */
  move(userId: string, eventId: string, itemId?: string): void {
    const user = this.user(userId);
    user.offset++;
    if (itemId !== undefined) user.items = [itemId, ...user.items.filter((other) => other !== itemId)].slice(0, 10);
    const partition = partitionFor(userId, PARTITIONS);
    this.log.sendHints(FEED_HINTS, [{ key: userId, partition, offset: user.offset, eventIds: [eventId] }]);
  }

  /** From now on what is appended to user-events moves users. */
  foldEvents(): void {
    this.stopFolding = this.log.onAppend(USER_EVENTS, () => this.fold());
  }

  private fold(): void {
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const batch = this.log.readNow(USER_EVENTS, partition, this.positions[partition]!, {
        recordsMax: 1_000,
        bytesMax: 1 << 22,
      });
      this.positions[partition] = batch.nextOffset;
      const hints: Hint[] = [];
      for (const { value, offset } of batch.records) {
        const record = decodeRecord(value);
        if (record.kind !== 'Interaction') continue;
        const user = this.user(record.userId);
        user.offset = offset + 1;
        user.items = [record.itemId, ...user.items].slice(0, 10);
        hints.push({ key: record.userId, partition, offset: batch.nextOffset, eventIds: [record.eventId] });
      }
      if (hints.length > 0) this.log.sendHints(FEED_HINTS, hints);
    }
  }

  private user(userId: string): { offset: number; items: string[] } {
    const known = this.users.get(userId) ?? { offset: 0, items: [] };
    this.users.set(userId, known);
    return known;
  }

  private view(userId: string): UserView {
    this.readCalls++;
    const user = this.users.get(userId);
    return {
      snapshot: snapshotOf(user?.items ?? []),
      partition: partitionFor(userId, PARTITIONS),
      offset: user?.offset ?? 0,
    };
  }

  private state(key: string) {
    const user = this.users.get(key);
    if (user === undefined) return undefined;
    const operators = {
      session: { items: user.items },
      profile: { seen: new Uint32Array([1, 2]), blocked: new Set(['x']) },
    };
    return { partition: 0, version: user.offset, operators };
  }

  private rank(request: RecommendationRequest) {
    this.recommendCalls++;
    const ranked = this.ranked(request.user.recentItems, request.limit);
    const list = {
      length: ranked.length,
      at: (place: number) => ranked[place]!,
      idAt: (place: number) => ranked[place]!.itemId,
      placeOf: (itemId: string) => ranked.findIndex((item) => item.itemId === itemId),
    };
    return { list, eligibleCount: ITEMS };
  }

  private ranked(first: readonly string[], n: number): RecommendedItem[] {
    const items: RecommendedItem[] = [];
    const taken = new Set<string>();
    for (let i = 0; i < first.length + ITEMS && items.length < n; i++) {
      const itemId = first[i] ?? `item-${i - first.length}`;
      if (this.withdrawn.has(itemId) || taken.has(itemId)) continue;
      taken.add(itemId);
      items.push({
        itemId,
        score: 1 / (items.length + 1),
        confidence: 0.5,
        reasons: ['Because it is there'],
        source: 'fake',
      });
    }
    return items;
  }

  private card(itemId: string): ItemCard | undefined {
    if (!/^item-\d+$/.test(itemId)) return undefined;
    return { itemId, title: `Title of ${itemId}`, category: 'things', price: 9.5, currency: 'EUR', imageUrl: null };
  }
}

function snapshotOf(items: readonly string[]): UserSnapshot {
  return {
    sessionItems: [],
    recentItems: items,
    seen: () => false,
    blockedItems: new Set(),
    categoryAffinities: [],
    segments: [],
    embedding: undefined,
    embeddingSpace: undefined,
  };
}
