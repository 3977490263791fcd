/**
 * Endless traffic for benchmarks: encoded records at more than 100,000 a second, without a recommender in the loop.
 *
 * A group is one viewed impression of 10 items and 3 interactions of the same person; interaction types are dealt from
 * decks of 100, so their shares are exact after each deck. Slates are drawn from popularity and taste, people by
 * activity. Memory is fixed: a few hundred visits under way and the batch being made.
 *
 * Deterministic: same seed and options, same bytes (with `now` given, up to its times).
 */
import type { InteractionType } from '../../schemas/records.js';
import type { Random } from '../../streams/random.js';
import { SLATE_LENGTH } from './behaviour.js';
import { MixWriter, type MixActor, type MixCounts } from './mix-writer.js';
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
  /** Default: a world of this seed with `items` and `users`. Not to be driven by anybody else meanwhile. */
  readonly world?: World | undefined;
  readonly items?: number | undefined;
  readonly users?: number | undefined;
  /** Groups of 4 records in a batch; default 50. */
  readonly batchGroups?: number | undefined;
  /** Event time of a group, ms since epoch; default: 1,000 records a second from the world's start. */
  readonly now?: (() => number) | undefined;
  /**
   * After so many interactions, an anonymous visitor makes a group and logs in: one Identify and one UserUpsert more.
   * Default 0: never, and every batch is impressions and interactions alone.
   */
  readonly loginEvery?: number | undefined;
  /** Part of all ids; default `mix-<seed>`. */
  readonly runId?: string | undefined;
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
/** Places of a slate that are drawn from what everybody wants; the rest are from the person's departments. */
const POPULAR_PLACES = 4;
/** Draws that may repeat an item before its neighbours in the catalogue are taken: speed counts more than fidelity. */
const REDRAWS = 3;
const DWELL_MOST_MS = 60_000;

interface MixVisit extends MixActor {
  readonly taste: Taste;
  groupsLeft: number;
}

export function createMix(seed: string | number, options: MixOptions = {}): Mix {
  const { items, users } = options;
  return new SeededMix(options.world ?? createWorld({ seed, items, users }), String(seed), options);
}

class SeededMix implements Mix {
  private readonly writer: MixWriter;
  private readonly runId: string;
  private readonly random: Random;
  private readonly activity: Float64Array;
  private readonly visits: MixVisit[];
  private readonly deck: InteractionType[];
  private readonly slate: number[] = [];
  private readonly slateIds: string[] = [];
  private dealt: number;
  private groups = 0;
  private sessions = 0;
  private logins = 0;

  constructor(
    readonly world: World,
    seed: string,
    private readonly options: MixOptions,
  ) {
    this.runId = options.runId ?? `mix-${seed}`;
    this.writer = new MixWriter(this.runId);
    this.random = world.stream(`mix-${seed}`);
    this.activity = sumsOf(world.people.activity);
    this.deck = (Object.keys(MIX_DECK) as InteractionType[]).flatMap((type) =>
      new Array<InteractionType>(MIX_DECK[type]).fill(type),
    );
    this.dealt = this.deck.length;
    this.visits = Array.from({ length: ACTIVE_VISITS }, () => this.openVisit());
  }

  get counts(): Readonly<MixCounts> {
    return this.writer.counts;
  }

  nextBatch(): readonly TrafficRecord[] {
    const { batchGroups = BATCH_GROUPS, loginEvery = 0 } = this.options;
    for (let i = 0; i < batchGroups; i++) {
      const slot = this.random.int(ACTIVE_VISITS);
      const visit = this.visits[slot]!;
      this.writeGroup(visit);
      if (--visit.groupsLeft === 0) this.visits[slot] = this.openVisit();
      if (loginEvery > 0 && this.counts.interactions >= (this.logins + 1) * loginEvery) this.writeLogin();
    }
    return this.writer.takeBatch();
  }

  *[Symbol.iterator](): Generator<readonly TrafficRecord[], never> {
    for (;;) yield this.nextBatch();
  }

  private writeGroup(visit: MixVisit): void {
    const ts = this.options.now?.() ?? this.worldTime;
    this.world.demand.moveTo(this.worldTime);
    this.groups++;
    this.drawSlate(visit.taste);
    this.writer.writeImpression(visit, ts, this.slateIds);
    const { ids, price } = this.world.catalogue;
    for (let i = 1; i <= INTERACTIONS_PER_IMPRESSION; i++) {
      const type = this.dealType();
      const position = type === 'view' ? -1 : this.random.int(SLATE_LENGTH);
      const item = position < 0 ? this.drawForTaste(visit.taste) : this.slate[position]!;
      const dwellMs = 500 + this.random.int(DWELL_MOST_MS);
      this.writer.writeInteraction(visit, {
        ts: ts + i,
        type,
        itemId: ids[item]!,
        price: price[item]!,
        dwellMs,
        position,
      });
    }
  }

  private writeLogin(): void {
    const person = this.drawPerson();
    const anonymousId = `${this.runId}-visitor-${this.logins++}`;
    this.writeGroup(this.visitOf(person, anonymousId));
    const ts = (this.options.now?.() ?? this.worldTime) + GROUP_RECORDS;
    this.writer.writeLogin(anonymousId, this.world.people.knownIdOf(person), ts);
  }

  /** 1 ms a record: the world goes at 1,000 records a second, whatever `now` says. */
  private get worldTime(): number {
    return this.world.startMs + this.groups * GROUP_RECORDS;
  }

  private openVisit(): MixVisit {
    const person = this.drawPerson();
    return this.visitOf(person, this.world.people.knownIdOf(person));
  }

  private drawPerson(): number {
    return drawFromSums(this.activity, 0, this.activity.length, this.random);
  }

  private visitOf(person: number, userId: string): MixVisit {
    const { device, os } = this.world.people.deviceOf(person);
    const { code, language, utcOffset } = this.world.people.countryOf(person);
    return {
      userId,
      sessionId: `${this.runId}-s${this.sessions++}`,
      taste: this.world.tasteAt(person, this.worldTime),
      utcOffset,
      context: { device, os, country: code, language, page: 'home' },
      groupsLeft: 1 + this.random.int(GROUPS_PER_VISIT_MAX),
    };
  }

  private dealType(): InteractionType {
    if (this.dealt === this.deck.length) {
      this.random.shuffle(this.deck);
      this.dealt = 0;
    }
    return this.deck[this.dealt++]!;
  }

  private drawSlate(taste: Taste): void {
    const { demand, catalogue } = this.world;
    for (let place = 0; place < SLATE_LENGTH; place++) {
      let item = place < POPULAR_PLACES ? demand.draw(this.random) : this.drawForTaste(taste);
      for (let i = 0; this.isInSlate(item, place); i++) {
        item = i < REDRAWS ? demand.draw(this.random) : (item + 1) % demand.publishedItems;
      }
      this.slate[place] = item;
      this.slateIds[place] = catalogue.ids[item]!;
    }
  }

  private isInSlate(item: number, places: number): boolean {
    for (let place = 0; place < places; place++) if (this.slate[place] === item) return true;
    return false;
  }

  private drawForTaste(taste: Taste): number {
    return this.world.demand.drawIn(drawDepartment(taste.departments, this.random), this.random);
  }
}
