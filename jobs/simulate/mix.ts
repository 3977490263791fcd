/**
 * Endless traffic for benchmarks: encoded records at more than 100,000 a second, without a recommender in the loop.
 *
 * A group is one viewed impression of 10 items and 3 interactions of the same person; interaction types are dealt from
 * decks of 100, so their shares are exact after each deck. Slates are drawn from popularity and taste, people by
 * activity. Memory is fixed: a few hundred visits under way and the batch being made.
 *
 * Deterministic: same seed and options, same bytes (with `now` given, up to its times).
 */
import { encodeRecord } from '../../schemas/codec.js';
import type { ContextDraft, ImpressionDraft, InteractionDraft, InteractionType } from '../../schemas/records.js';
import type { Random } from '../../streams/random.js';
import { SLATE_LENGTH } from './behaviour.js';
import type { Taste } from './people.js';
import type { TrafficRecord } from './traffic-records.js';
import { drawFromSums, sumsOf } from './weighted-draw.js';
import { createWorld, drawDepartment, type World } from './world.js';

/** Interactions of each type among 100. */
export const MIX_DECK: Readonly<Record<InteractionType, number>> = {
  view: 40,
  click: 34,
  like: 6,
  dislike: 1,
  share: 2,
  bookmark: 3,
  comment: 1,
  follow: 1,
  addToCart: 5,
  removeFromCart: 1,
  purchase: 2,
  rate: 1,
  skip: 2,
  block: 1,
};
export const INTERACTIONS_PER_IMPRESSION = 3;

export interface MixOptions {
  /** Default: a world of this seed with `items` and `users`. */
  readonly world?: World | undefined;
  readonly items?: number | undefined;
  readonly users?: number | undefined;
  /** Groups of 4 records in a batch; default 50. */
  readonly batchGroups?: number | undefined;
  /** Event time of a group, ms since epoch; default: 1,000 records a second from the world's start. */
  readonly now?: (() => number) | undefined;
  /** After so many interactions a visitor logs in: one Identify and one UserUpsert more; default 0: never. */
  readonly loginEvery?: number | undefined;
  /** Part of all ids; default `mix-<seed>`. */
  readonly runId?: string | undefined;
}

export interface MixCounts {
  interactions: number;
  impressions: number;
  identifies: number;
  profiles: number;
  /** Of the values. */
  bytes: number;
}

export interface Mix extends Iterable<readonly TrafficRecord[]> {
  readonly world: World;
  /** Of all batches made so far. */
  readonly counts: Readonly<MixCounts>;
  nextBatch(): readonly TrafficRecord[];
}

/** People who are about at the same time; each group is of one of them. */
const ACTIVE_VISITS = 256;
const GROUPS_PER_VISIT_MAX = 9;
const BATCH_GROUPS = 50;
const GROUP_RECORDS = 1 + INTERACTIONS_PER_IMPRESSION;
/** Of the places of a slate: drawn from what everybody wants; the rest from the person's departments. */
const POPULAR_PLACES = 4;
const PLACEMENT = 'home';
const NOT_ATTRIBUTED: ReadonlySet<InteractionType> = new Set(['view']);

interface MixVisit {
  readonly userId: string;
  readonly sessionId: string;
  readonly taste: Taste;
  readonly utcOffset: number;
  readonly context: ContextDraft;
  groupsLeft: number;
}

export function createMix(seed: string | number, options: MixOptions = {}): Mix {
  const { items, users } = options;
  return new SeededMix(options.world ?? createWorld({ seed, items, users }), String(seed), options);
}

class SeededMix implements Mix {
  readonly counts: MixCounts = { interactions: 0, impressions: 0, identifies: 0, profiles: 0, bytes: 0 };
  private readonly random: Random;
  private readonly activity: Float64Array;
  private readonly runId: string;
  private readonly visits: MixVisit[] = [];
  private readonly deck: InteractionType[];
  private readonly slate: number[] = new Array<number>(SLATE_LENGTH).fill(0);
  private dealt = 0;
  private groups = 0;
  private sequence = 0;
  private sessions = 0;
  private logins = 0;
  private batch: TrafficRecord[] = [];

  constructor(
    readonly world: World,
    seed: string,
    private readonly options: MixOptions,
  ) {
    this.runId = options.runId ?? `mix-${seed}`;
    this.random = world.stream(`mix-${seed}`);
    this.activity = sumsOf(world.people.activity);
    this.deck = Object.entries(MIX_DECK).flatMap(([type, n]) => new Array<InteractionType>(n).fill(type as never));
    this.dealt = this.deck.length;
    world.demand.moveTo(world.startMs);
    for (let i = 0; i < ACTIVE_VISITS; i++) this.visits.push(this.openVisit());
  }

  nextBatch(): readonly TrafficRecord[] {
    this.batch = [];
    const { batchGroups = BATCH_GROUPS, loginEvery = 0 } = this.options;
    for (let i = 0; i < batchGroups; i++) {
      const ts = this.options.now?.() ?? this.world.startMs + this.groups * GROUP_RECORDS;
      this.world.demand.moveTo(ts);
      const slot = this.random.int(ACTIVE_VISITS);
      this.writeGroup(this.visits[slot]!, ts);
      if (--this.visits[slot]!.groupsLeft === 0) this.visits[slot] = this.openVisit();
      if (loginEvery > 0 && this.counts.interactions >= (this.logins + 1) * loginEvery) this.writeLogin(ts);
      this.groups++;
    }
    return this.batch;
  }

  *[Symbol.iterator](): Generator<readonly TrafficRecord[], never> {
    for (;;) yield this.nextBatch();
  }

  private openVisit(): MixVisit {
    const { people, startMs } = this.world;
    const person = drawFromSums(this.activity, 0, this.activity.length, this.random);
    return this.visitOf(person, people.knownIdOf(person), startMs + this.groups * GROUP_RECORDS);
  }

  private visitOf(person: number, userId: string, at: number): MixVisit {
    const { device, os } = this.world.people.deviceOf(person);
    const { code, language, utcOffset } = this.world.people.countryOf(person);
    return {
      userId,
      sessionId: `${this.runId}-s${this.sessions++}`,
      taste: this.world.tasteAt(person, at),
      utcOffset,
      context: { device, os, country: code, language, page: PLACEMENT },
      groupsLeft: 1 + this.random.int(GROUPS_PER_VISIT_MAX),
    };
  }

  private writeGroup(visit: MixVisit, ts: number): void {
    this.drawSlate(visit.taste);
    const requestId = `${this.runId}-r${this.groups}`;
    const { ids } = this.world.catalogue;
    const impression: ImpressionDraft = {
      ...this.commonOf(visit, ts),
      stage: 'viewed',
      requestId,
      placement: PLACEMENT,
      slate: this.slate.map((item, position) => ({ itemId: ids[item]!, position })),
    };
    this.counts.impressions++;
    this.push(visit.userId, encodeRecord('Impression', impression));
    for (let i = 0; i < INTERACTIONS_PER_IMPRESSION; i++) this.writeInteraction(visit, { ts: ts + i + 1, requestId });
  }

  private writeInteraction(visit: MixVisit, { ts, requestId }: { ts: number; requestId: string }): void {
    const type = this.dealType();
    const isAttributed = !NOT_ATTRIBUTED.has(type);
    const position = this.random.int(SLATE_LENGTH);
    const item = isAttributed ? this.slate[position]! : this.drawForTaste(visit.taste);
    const isPriced = type === 'purchase' || type === 'addToCart';
    const draft: InteractionDraft = {
      ...this.commonOf(visit, ts),
      type,
      itemId: this.world.catalogue.ids[item]!,
      value: isPriced ? this.world.catalogue.price[item]! : type === 'rate' ? 1 + this.random.int(5) : null,
      currency: isPriced ? 'EUR' : null,
      quantity: isPriced ? 1 : null,
      dwellMs: type === 'view' || type === 'click' ? 500 + this.random.int(60_000) : null,
      attribution: isAttributed ? { requestId, placement: PLACEMENT, position } : null,
    };
    this.counts.interactions++;
    this.push(visit.userId, encodeRecord('Interaction', draft));
  }

  /** A group under a fresh anonymous id is not needed for its own sake: it gives the Identify something to move. */
  private writeLogin(ts: number): void {
    const person = drawFromSums(this.activity, 0, this.activity.length, this.random);
    const anonymousId = `${this.runId}-visitor-${this.logins++}`;
    const userId = this.world.people.knownIdOf(person);
    this.writeGroup(this.visitOf(person, anonymousId, ts), ts);
    this.groups++;
    const common = { ts: ts + GROUP_RECORDS, receivedAt: ts + GROUP_RECORDS, producerId: 'mix' };
    this.counts.identifies++;
    this.push(anonymousId, encodeRecord('Identify', { ...common, eventId: this.nextId(), anonymousId, userId }));
    this.counts.profiles++;
    this.push(userId, encodeRecord('UserUpsert', { ...common, eventId: this.nextId(), userId }));
  }

  private commonOf(visit: MixVisit, ts: number) {
    return {
      eventId: this.nextId(),
      userId: visit.userId,
      ts,
      receivedAt: ts,
      utcOffset: visit.utcOffset,
      producerId: 'mix',
      sessionId: visit.sessionId,
      context: visit.context,
    };
  }

  private dealType(): InteractionType {
    if (this.dealt === this.deck.length) {
      this.random.shuffle(this.deck);
      this.dealt = 0;
    }
    return this.deck[this.dealt++]!;
  }

  /** Ten distinct items. After a few repeats the neighbour in the catalogue does: speed counts more than fidelity here. */
  private drawSlate(taste: Taste): void {
    for (let place = 0; place < SLATE_LENGTH; place++) {
      let item = place < POPULAR_PLACES ? this.world.demand.draw(this.random) : this.drawForTaste(taste);
      for (let i = 0; i < SLATE_LENGTH && this.isInSlate(item, place); i++) {
        item = i < 3 ? this.world.demand.draw(this.random) : (item + 1) % this.world.demand.publishedItems;
      }
      this.slate[place] = item;
    }
  }

  private drawForTaste(taste: Taste): number {
    return this.world.demand.drawIn(drawDepartment(taste.departments, this.random), this.random);
  }

  private isInSlate(item: number, places: number): boolean {
    for (let place = 0; place < places; place++) if (this.slate[place] === item) return true;
    return false;
  }

  private nextId(): string {
    return `${this.runId}-${this.sequence++}`;
  }

  private push(key: string, value: Buffer): void {
    this.counts.bytes += value.length;
    this.batch.push({ stream: 'user', key, value });
  }
}
