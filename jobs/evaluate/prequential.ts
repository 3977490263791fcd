/**
 * Prequential evaluation: the engine's own top 10 is asked for before each interaction, then the interaction is learned.
 *
 * Tested is every interaction that is not the first of its session and whose item is not already in that session;
 * items of the session are excluded, the whole catalogue is ranked, and state holds exactly the events before
 * (lockstep) — or, in normal mode, what micro-batches and stage lag leave a user with at that moment.
 */
import type { AnyRecord, Interaction } from '../../schemas/records.js';
import { decodeRecord } from '../../schemas/codec.js';
import { TOPICS } from '../../schemas/topics.js';
import type { TopicDeclaration } from '../../schemas/topics.js';
import { createEngineTopology, engineTopics, ONLINE_SPACE, USER_STAGE } from '../../operators/engine-topology.js';
import type { EngineTopology } from '../../operators/engine-topology.js';
import { createSnapshotOf, snapshotInSession, storedUser } from '../../serving/node/stage-users.js';
import { createRecommender } from '../../serving/pipeline/recommender.js';
import type { Recommender } from '../../serving/pipeline/recommender.js';
import type { UserSnapshotLike } from '../../serving/retrieval/request.js';
import { ItemTables } from '../../serving/tables/item-tables.js';
import { partitionFor } from '../../schemas/ids.js';
import type { Clock } from '../../streams/clock.js';
import type { OutgoingRecord } from '../../streams/log/event-log.js';
import { MemoryLog } from '../../streams/memory/memory-log.js';
import { MemoryStore } from '../../streams/memory/memory-store.js';
import type { Random } from '../../streams/random.js';
import { taskOptionsOf } from '../../streams/section.js';
import type { FreshetConfig } from '../config.js';
import { catalogueItemOf } from '../engine/engine.js';
import type { PhysicalStorage } from '../engine/storage.js';
import { stageUsersConfigOf } from '../engine/serving.js';
import { LockstepScheduler } from '../engine/lockstep.js';
import type { ConvertedRecord } from '../import/row-converter.js';
import { RankingMetrics } from './ranking-metrics.js';
import type { RankingQuality } from './ranking-metrics.js';

export interface PrequentialOptions {
  readonly config: FreshetConfig;
  readonly clock: Clock;
  readonly random: Random;
  /** Events between two steps of the engine: 1 is lockstep, more is micro-batching with stage lag. */
  readonly batchEvents: number;
  /** Single sources to score beside the pipeline. */
  readonly sources: readonly string[];
}

const TOP = 10;
/** Sessions whose items are remembered; the longest idle is forgotten. */
const SESSIONS_MAX = 500_000;
/** The in-memory log drops what is older than this; everything in it has been processed long before. */
const LOG_RETENTION_MS = 2_000;
const CLEAN_EVERY_EVENTS = 5_000;

export class PrequentialEvaluation {
  readonly quality = new RankingMetrics();
  readonly bySource: ReadonlyMap<string, RankingMetrics>;
  events = 0;
  private pendingEvents = 0;
  private readonly sessions = new SessionItems();

  private constructor(
    private readonly options: PrequentialOptions,
    private readonly storage: PhysicalStorage & { readonly log: MemoryLog },
    private readonly engine: EngineTopology,
    private readonly tables: ItemTables,
    private readonly scheduler: LockstepScheduler,
    private readonly recommender: Recommender,
  ) {
    this.bySource = new Map(options.sources.map((name) => [name, new RankingMetrics()]));
  }

  static async open(options: PrequentialOptions): Promise<PrequentialEvaluation> {
    const { config, clock, random } = options;
    const log = new MemoryLog({ clock });
    const store = new MemoryStore({ delivery: 'atomic', log });
    const storage = { log, store, flushed: () => Promise.resolve(), stats: () => undefined, close: () => log.close() };
    const { namespace } = config.streams;
    await log.createTopics(
      engineTopics(namespace, 1).map((spec) =>
        spec.class === 'event' ? { ...spec, retentionMs: LOG_RETENTION_MS } : spec,
      ),
    );
    const tables = new ItemTables({ space: ONLINE_SPACE });
    const engine = createEngineTopology({
      namespace,
      config: config.operators,
      faultPolicy: 'fail',
      catalogue: { get: (itemId) => catalogueItemOf(tables, itemId) },
      itemVectors: () => tables.vectors,
    });
    const { topology } = engine;
    const itemState = topicOf(namespace, TOPICS.itemState);
    const task = { ...taskOptionsOf(config.streams), sliceMs: Infinity };
    const scheduler = await LockstepScheduler.open({ topology, storage, tables, itemState, clock, random, task });
    return new PrequentialEvaluation(options, storage, engine, tables, scheduler, createRecommender({}, tables));
  }

  /** Tests and learns the records of one row. */
  async add(records: readonly ConvertedRecord[]): Promise<void> {
    for (const { stream, value } of records) {
      if (stream !== 'user') continue;
      const record: AnyRecord = decodeRecord(value);
      if (record.kind === 'Interaction') await this.test(record);
    }
    const { namespace } = this.options.config.streams;
    const send = (stream: 'user' | 'item', topic: TopicDeclaration): void => {
      const outgoing: OutgoingRecord[] = records.filter((record) => record.stream === stream);
      if (outgoing.length > 0) this.storage.log.appendNow(topicOf(namespace, topic), outgoing);
    };
    send('item', TOPICS.itemEvents);
    send('user', TOPICS.userEvents);
    this.events++;
    this.pendingEvents++;
    if (this.pendingEvents >= this.options.batchEvents) await this.settle();
    if (this.events % CLEAN_EVERY_EVENTS === 0) this.storage.log.cleanNow();
  }

  private async settle(): Promise<void> {
    this.pendingEvents = 0;
    const { batchEvents, config } = this.options;
    await this.scheduler.settle(batchEvents === 1 ? 1 : config.streams.batchRecords);
  }

  results(): { readonly quality: RankingQuality; readonly sources: Readonly<Record<string, RankingQuality>> } {
    const items = this.tables.usage().items;
    const sources = [...this.bySource].map(([name, metrics]) => [name, metrics.quality(items)] as const);
    return { quality: this.quality.quality(items), sources: Object.fromEntries(sources) };
  }

  private async test(record: Interaction): Promise<void> {
    const { userId, itemId, ts } = record;
    const { sessionGapMs } = this.options.config.operators;
    const known = this.sessions.of(userId, record.sessionId, ts, sessionGapMs);
    const isTested = known.size > 0 && !known.has(itemId);
    if (isTested) {
      this.score(await this.viewOf(userId, record.sessionId, ts, known), itemId, ts, known);
    }
    known.add(itemId);
  }

  private score(user: UserSnapshotLike, itemId: string, now: number, excluded: ReadonlySet<string>): void {
    const ask = (sources: readonly string[] | undefined): string[] =>
      this.recommender
        .recommend({ user, placement: 'evaluation', limit: TOP, excluded, now, sources })
        .items.map((item) => item.itemId);
    this.quality.add(ask(undefined), itemId);
    for (const [name, metrics] of this.bySource) metrics.add(ask([name]), itemId);
  }

  /** The person as stored; what the protocol excludes are items of this session only, so nothing else counts as seen. */
  private async viewOf(
    userId: string,
    sessionId: string | null,
    now: number,
    known: ReadonlySet<string>,
  ): Promise<UserSnapshotLike> {
    const stage = this.engine.users;
    const partition = partitionFor(userId, this.storage.log.topic(stage.input).partitions);
    const stored = await this.storage.store.get({ stage: USER_STAGE, partition }, userId);
    const config = stageUsersConfigOf(this.options.config);
    const seen = (itemId: string): boolean => known.has(itemId);
    // In normal mode the person's first events may not have been processed yet: a stranger is what the engine sees.
    if (stored === undefined) return { ...createSnapshotOf(config)(undefined, now, userId), seen };
    const user = storedUser(stored, userId);
    const session =
      sessionId === null
        ? user.openSessionAt(now, config.sessionGapMs)
        : user.sessions.find((candidate) => candidate.id === sessionId);
    return { ...snapshotInSession(user, session, now, config), seen };
  }
}

function topicOf(namespace: string, topic: TopicDeclaration): string {
  return `${namespace}.${topic.name}`;
}

/** Which items each session has met, by the protocol's own book-keeping and not the engine's. */
class SessionItems {
  private readonly items = new Map<string, { items: Set<string>; last: number; id: string }>();

  of(userId: string, sessionId: string | null, ts: number, gapMs: number): Set<string> {
    const key = sessionId === null ? `user ${userId}` : `session ${userId} ${sessionId}`;
    const found = this.items.get(key);
    if (found !== undefined && (sessionId !== null || ts - found.last <= gapMs)) {
      found.last = ts;
      return found.items;
    }
    const items = new Set<string>();
    this.items.delete(key);
    this.items.set(key, { items, last: ts, id: key });
    if (this.items.size > SESSIONS_MAX) this.items.delete(this.items.keys().next().value!);
    return items;
  }
}
