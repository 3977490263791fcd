/**
 * Tries published models on what people really do: was the item among the model's best before the person met it?
 *
 * Follows user events behind the present. Of an interaction that speaks for an item the person had not met in the
 * history before it, the person's state is read and cut to what happened earlier, so that a state that already holds the
 * interaction gives nothing away. A bounded number a second is tried, the first of each second: a rate, not a backlog.
 *
 * Invariant: trials change nothing but counters. Concurrency: one trial at a time; what comes meanwhile is let go.
 */
import { DEFAULT_INTEREST_WEIGHTS, eventWeight } from '../../operators/user/event-weights.js';
import { decodeRecord } from '../../schemas/codec.js';
import type { Interaction } from '../../schemas/records.js';
import type { Clock } from '../../streams/clock.js';
import type { LogRecord } from '../../streams/log/event-log.js';
import type { Logger } from '../../streams/logger.js';
import type { UserReader, UserSnapshot } from '../node/ports.js';
import { RetrievalRequest } from '../retrieval/request.js';
import type { ItemTables } from '../tables/item-tables.js';
import type { PublishedModels } from './published-models.js';

export interface LiveTrial {
  readonly model: string;
  readonly version: string;
  readonly isHit: boolean;
}

export interface LiveTrialsOptions {
  readonly published: PublishedModels;
  readonly users: UserReader;
  readonly tables: ItemTables;
  /** Trials of each model. */
  readonly perSecond: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onTrial: (trial: LiveTrial) => void;
}

/** A hit is an item among this many: what a page shows. */
const DEPTH = 20;
const SECOND_MS = 1_000;
/** Most records are no trial; a stream of such ones must not all be decoded. */
const LOOKS_PER_TRIAL = 20;
/** What counts as the session before an interaction. */
const SESSION_MS = 1_800_000;

export class LiveTrials {
  private readonly request = new RetrievalRequest();
  private second = -1;
  private left = 0;
  /** Records that may still be decoded in this second. */
  private looks = 0;
  private running: Promise<void> | undefined;

  constructor(private readonly options: LiveTrialsOptions) {}

  /** For `TableFollowerOptions.apply` on the topic of user events. */
  apply(record: LogRecord): void {
    if (this.running !== undefined || record.value.length === 0 || !this.mayTry()) return;
    const event = decodeRecord(record.value);
    if (event.kind !== 'Interaction') return;
    const { type, value } = event;
    if (!(eventWeight(DEFAULT_INTEREST_WEIGHTS, type, value) > 0)) return;
    this.left--;
    this.running = this.tryOn(event)
      .catch((error: unknown) => this.options.logger.debug('a live trial failed', { error }))
      .finally(() => (this.running = undefined));
  }

  /** Resolves when no trial is under way. */
  async settled(): Promise<void> {
    await this.running;
  }

  private mayTry(): boolean {
    const second = Math.floor(this.options.clock.monotonic() / SECOND_MS);
    if (second !== this.second) {
      this.second = second;
      this.left = this.options.perSecond;
      this.looks = this.options.perSecond * LOOKS_PER_TRIAL;
    }
    return this.left > 0 && this.looks-- > 0;
  }

  private async tryOn({ userId, itemId, ts }: Interaction): Promise<void> {
    const { users, tables, published, onTrial } = this.options;
    const [view] = await users.read([userId], ts);
    const before = snapshotBefore(view!.snapshot, ts);
    if (before === undefined || before.recentItems.includes(itemId)) return;
    const item = tables.items.indexOf(itemId);
    this.request.resolve(before, tables, { now: ts });
    for (const model of published.allInUse()) {
      const { ranked } = model.ask(this.request, DEPTH);
      const isHit = item >= 0 && ranked.items.some((candidate) => model.tableItemOf(candidate) === item);
      onTrial({ model: model.manifest.name, version: model.manifest.version, isHit });
    }
  }
}

/** The state as it was before a moment; undefined when it holds nothing from before. */
function snapshotBefore(user: UserSnapshot, ts: number): UserSnapshot | undefined {
  const { recentItems, recentTypes = [], recentTimes = [] } = user;
  const places = [...recentItems.keys()].filter((place) => recentTimes[place]! < ts);
  if (places.length === 0) return undefined;
  return {
    ...user,
    recentItems: places.map((place) => recentItems[place]!),
    recentTypes: places.map((place) => recentTypes[place]!),
    recentTimes: places.map((place) => recentTimes[place]!),
    sessionItems: places.filter((place) => recentTimes[place]! > ts - SESSION_MS).map((place) => recentItems[place]!),
    embedding: undefined,
  };
}
