/**
 * Looks into a data directory that no process holds: states of users and items, records of topics, and the sessions
 * that a reader of `sessions` ends up with.
 *
 * Nothing of the process under test is reused but the file formats: the directory is opened anew, read, and closed.
 */
import { createEngineTopology } from '../../operators/engine-topology.js';
import type { EngineTopology } from '../../operators/engine-topology.js';
import type { DedupeState } from '../../operators/user/dedupe.js';
import type { ProfileState } from '../../operators/user/profile-state.js';
import type { SessionState } from '../../operators/user/session-state.js';
import type { PopularityState } from '../../operators/item/popularity.js';
import { freshetConfig } from '../../jobs/config.js';
import { decodeRecord } from '../../schemas/codec.js';
import type { AnyRecord } from '../../schemas/records.js';
import { TOPICS, topicName } from '../../schemas/topics.js';
import { systemClock } from '../../streams/clock.js';
import { readLayout } from '../../streams/generations/layout.js';
import { topicGenerations, viewOf } from '../../streams/generations/views.js';
import type { LogAndStore, TopicGeneration } from '../../streams/generations/views.js';
import { openEmbeddedStorage } from '../../streams/lmdb/index.js';
import type { LogRecord, Origin } from '../../streams/log/event-log.js';
import { StateQuery } from '../../streams/queries/state-query.js';
import { systemRandom } from '../../streams/random.js';

const NAMESPACE = 'default';
const READ_LIMITS = { recordsMax: 10_000, bytesMax: 16 << 20 };

export interface UserView {
  readonly key: string;
  readonly profile: ProfileState | undefined;
  readonly session: SessionState | undefined;
  readonly dedupe: DedupeState | undefined;
}

/** What a session comes to, however it was cut into revisions. */
export interface SessionView {
  readonly userId: string;
  readonly sessionId: string;
  readonly start: number;
  readonly end: number;
  readonly interactions: number;
  readonly pageViews: number;
  readonly conversions: number;
}

interface InspectedStorage extends LogAndStore {
  topicGenerations(topic: string): readonly TopicGeneration[];
  close(): Promise<void>;
}

export class Inspection {
  private constructor(
    readonly storage: InspectedStorage,
    private readonly topology: EngineTopology,
  ) {}

  static async open(directory: string): Promise<Inspection> {
    const topology = createEngineTopology({
      namespace: NAMESPACE,
      config: freshetConfig.load({ overrides: [], environment: {} }).operators,
      catalogue: { get: () => undefined },
      itemVectors: () => undefined,
    });
    const random = systemRandom();
    const physical = await openEmbeddedStorage({ directory, sync: 'always', clock: systemClock, random });
    const layout = await readLayout(physical);
    const storage = {
      ...viewOf(physical, { layout }, []),
      topicGenerations: (topic: string) => topicGenerations(physical.log, layout, topic),
      close: () => physical.close(),
    };
    return new Inspection(storage, topology);
  }

  topic(name: keyof typeof TOPICS): string {
    return topicName(NAMESPACE, TOPICS[name]);
  }

  async users(): Promise<UserView[]> {
    const views: UserView[] = [];
    for await (const { key, operators } of this.query().range('users')) {
      const { profile, session, dedupe } = operators as Partial<UserView>;
      views.push({ key, profile, session, dedupe });
    }
    return views;
  }

  /** Popularity of every item; other cells are not looked at. */
  async popularity(): Promise<Map<string, PopularityState>> {
    const found = new Map<string, PopularityState>();
    for await (const { key, operators } of this.query().range('items')) {
      const state = operators['popularity'] as PopularityState | undefined;
      if (state !== undefined) found.set(key, state);
    }
    return found;
  }

  /** Every record of a topic as it lies there, partition by partition: re-sent ones and those before a repartition too. */
  async *stored(name: keyof typeof TOPICS): AsyncIterable<LogRecord> {
    const topic = this.topic(name);
    for (const { log } of this.storage.topicGenerations(topic)) yield* this.storedIn(log, topic);
  }

  private async *storedIn(log: LogAndStore['log'], topic: string): AsyncIterable<LogRecord> {
    for (let partition = 0; partition < log.topic(topic).partitions; partition++) {
      const { start, end } = await log.bounds(topic, partition);
      for (let offset = start; offset < end;) {
        const batch = await log.read(topic, partition, offset, READ_LIMITS);
        yield* batch.records;
        offset = batch.nextOffset;
      }
    }
  }

  /** The records of a topic as a reader that keeps to the protocol gets them: each output once. */
  async records(name: keyof typeof TOPICS): Promise<AnyRecord[]> {
    const marks = new Map<string, Origin>();
    const records: AnyRecord[] = [];
    for await (const { origin, value } of this.stored(name)) {
      if (origin !== undefined) {
        // Records of a partition come in order, and none of an (origin, reader's partition) mixes with another's.
        const id = `${origin.source} ${origin.operator} ${origin.offset} ${origin.index}`;
        if (marks.has(id)) continue;
        marks.set(id, origin);
      }
      records.push(decodeRecord(value));
    }
    return records;
  }

  /** Latest revision of each session that was sent and not withdrawn, and sessions that are still open. */
  async sessions(): Promise<Map<string, SessionView>> {
    const latest = new Map<string, { revision: number; view: SessionView | undefined }>();
    for (const record of await this.records('sessions')) {
      if (record.kind !== 'SessionClosed') continue;
      const id = `${record.userId} ${record.sessionId}`;
      if ((latest.get(id)?.revision ?? -1) >= record.revision) continue;
      latest.set(id, {
        revision: record.revision,
        view: record.withdrawn ? undefined : sessionViewOf(record.userId, record.sessionId, record),
      });
    }
    const sessions = new Map<string, SessionView>();
    for (const [id, { view }] of latest) if (view !== undefined) sessions.set(id, view);
    for (const { key, session } of await this.users()) {
      for (const kept of session?.sessions ?? []) {
        if (!kept.closed) sessions.set(`${key} ${kept.id}`, sessionViewOf(key, kept.id, kept));
      }
    }
    return sessions;
  }

  close(): Promise<void> {
    return this.storage.close();
  }

  private query(): StateQuery {
    return new StateQuery(this.topology.topology, this.storage.log, this.storage.store);
  }
}

function sessionViewOf(
  userId: string,
  sessionId: string,
  from: Omit<SessionView, 'userId' | 'sessionId'>,
): SessionView {
  const { start, end, interactions, pageViews, conversions } = from;
  return { userId, sessionId, start, end, interactions, pageViews, conversions };
}

export async function inspect<T>(directory: string, look: (inspection: Inspection) => Promise<T>): Promise<T> {
  const inspection = await Inspection.open(directory);
  try {
    return await look(inspection);
  } finally {
    await inspection.close();
  }
}

/** Interactions that a user's profile has counted, of all types. */
export function interactionsOf({ profile }: UserView): number {
  return profile?.counts.reduce((sum, count) => sum + count, 0) ?? 0;
}
