/**
 * How people behave: one visit as a script that asks for slates and acts on what it is shown.
 *
 * A visit is a generator. It yields steps in order of time; an `ask` is answered with the slate shown (or undefined: none
 * came), everything else with nothing. Whoever drives it decides where slates come from and what becomes of the acts.
 *
 *   arrive ─> page ─┬─> ask ─> viewed ─> clicks by position ─> follow-ups ─┬─> another page, or leave
 *                   └─> look around: search or browse, choose by oneself ──┘
 *
 * Position-based click model (Craswell et al., WSDM 2008): P(click at k) = P(examined at k) · P(click | examined), where
 * P(examined at k) = 1 / log2(k + 2) for the 0-based place k, and the second factor is the person's hidden taste, much
 * lowered for items met lately. Worked example: liking .3 at place 2 gives .3 / log2(4) = .15.
 *
 * Deterministic in (world, histories, visit, slates): a visit has a random stream of its own.
 */
import type { InteractionType } from '../../schemas/records.js';
import type { Random } from '../../streams/random.js';
import { createFollowUps } from './follow-ups.js';
import type { Histories } from './histories.js';
import type { Taste } from './people.js';
import { drawDepartment, sigmoid, type World } from './world.js';

export const SLATE_LENGTH = 10;

export interface Visit {
  readonly person: number;
  /** How many times the person has come, with this one. */
  readonly nth: number;
  readonly startedAt: number;
  readonly sessionId: string;
  readonly random: Random;
}

/** What a person was shown. */
export interface ShownSlate {
  readonly requestId: string;
  readonly itemIds: readonly string[];
  /** Indexes of these ids in the world's catalogue; −1 for what is not of this world. */
  readonly items: readonly number[];
}

export type Page = 'home' | 'item' | 'search' | 'browse';

export interface Ask {
  readonly kind: 'ask';
  readonly at: number;
  readonly placement: string;
  /** Item whose page the slate stands on. */
  readonly item: number | undefined;
}

export interface InteractionAct {
  readonly kind: 'interaction';
  readonly at: number;
  readonly type: InteractionType;
  readonly item: number;
  readonly page: Page;
  readonly dwellMs?: number | undefined;
  readonly value?: number | undefined;
  readonly quantity?: number | undefined;
  /** Where it was recommended, if it was. */
  readonly shown?: { readonly slate: ShownSlate; readonly placement: string; readonly position: number } | undefined;
}

export interface ViewedAct {
  readonly kind: 'viewed';
  readonly at: number;
  readonly slate: ShownSlate;
  readonly placement: string;
}

/** `identify`: an anonymous person logs in. `profile`: what is known of a person with an account is sent. */
export interface AccountAct {
  readonly kind: 'identify' | 'profile';
  readonly at: number;
}

export type Act = InteractionAct | ViewedAct | AccountAct;

/** What a judge of slates may see: the hidden probabilities beside what happened. */
export interface SlateOutcome {
  readonly person: number;
  readonly at: number;
  readonly taste: Taste;
  readonly items: readonly number[];
  /** Of a click, by position, examination included. */
  readonly probabilities: readonly number[];
  readonly clicks: number;
  /** Whether the person met an item lately, before this slate. Ask at once: it changes as the visit goes on. */
  readonly hasMet: (item: number) => boolean;
}

export interface BehaviourOptions {
  /** Share of pages on which people look around by themselves; default 0.35. */
  readonly organicShare?: number | undefined;
  readonly onSlate?: ((outcome: SlateOutcome) => void) | undefined;
}

/** Odds of an item met lately, relative to a new one. */
const MET_ODDS_LOG = -2.5;
const ORGANIC_SHARE = 0.35;
/** A page leads to another with this probability; with the second when something was clicked. */
const STAY = 0.5;
const STAY_AFTER_CLICK = 0.8;
const PAGES_MAX = 12;
/** Recommendations are asked for on the home page or, after a click, on an item's page. */
const ITEM_PAGE_SHARE = 0.4;
/** Items compared before one is chosen when looking around. */
const CONSIDERED = 5;
const LOOKS_MAX = 3;
/** Of examined places that are not clicked, so many are waved away. */
const SKIP_SHARE = 0.01;
const READING_MS = 2_500;

/** Probability that the 0-based place of a slate is looked at. */
export function examinationAt(position: number): number {
  return 1 / Math.log2(position + 2);
}

/** P(click at a place) for a person who may have met the item. */
export function placeProbability(
  world: World,
  taste: Taste,
  place: { item: number; position: number; isMet: boolean },
): number {
  const attraction = world.attractionOf(taste, place.item) + (place.isMet ? MET_ODDS_LOG : 0);
  return examinationAt(place.position) * sigmoid(attraction);
}

/** The script of one visit. Reads and writes the person's history; one visit a person at a time. */
export function* playVisit(
  world: World,
  histories: Histories,
  { visit, options = {} }: { visit: Visit; options?: BehaviourOptions },
): Generator<Ask | Act, void, ShownSlate | undefined> {
  const person = new Visitor(world, histories, visit);
  const { organicShare = ORGANIC_SHARE, onSlate } = options;
  const loginPage = world.people.logsInAt(visit.person, visit.nth) ? visit.random.int(2) : -1;
  for (let page = 0; page < PAGES_MAX; page++) {
    if (page === loginPage && !histories.isKnown(visit.person)) yield* person.logIn();
    if (page === 0 && visit.nth === 1 && histories.isKnown(visit.person)) yield { kind: 'profile', at: person.at };
    const isOrganic = visit.random.float() < organicShare;
    const clicks = isOrganic ? yield* person.lookAround() : yield* person.readSlate(onSlate);
    if (visit.random.float() >= (clicks > 0 ? STAY_AFTER_CLICK : STAY)) return;
  }
}

class Visitor {
  at: number;
  private readonly random: Random;
  private readonly taste: Taste;
  private lastItem: number | undefined;

  constructor(
    private readonly world: World,
    private readonly histories: Histories,
    private readonly visit: Visit,
  ) {
    this.at = visit.startedAt;
    this.random = visit.random;
    this.taste = world.tasteAt(visit.person, visit.startedAt);
  }

  *logIn(): Generator<Act, void, ShownSlate | undefined> {
    yield { kind: 'identify', at: this.at };
    this.histories.logIn(this.visit.person);
    yield { kind: 'profile', at: this.at };
    this.wait(4_000);
  }

  /** Number of clicks. */
  *readSlate(onSlate: BehaviourOptions['onSlate']): Generator<Ask | Act, number, ShownSlate | undefined> {
    const item = this.lastItem !== undefined && this.random.float() < ITEM_PAGE_SHARE ? this.lastItem : undefined;
    const placement = item === undefined ? 'home' : 'item';
    const slate = yield { kind: 'ask', at: this.at, placement, item };
    if (slate === undefined || slate.items.length === 0) return yield* this.lookAround();
    this.wait(300);
    yield { kind: 'viewed', at: this.at, slate, placement };
    const { person } = this.visit;
    const hasMet = (shown: number): boolean => this.histories.hasMet(person, shown);
    const probabilities = slate.items.map((shown, position) =>
      placeProbability(this.world, this.taste, { item: shown, position, isMet: hasMet(shown) }),
    );
    // Drawn before acting, so that what follows a click does not move the clicks below it.
    const clicked = probabilities.map((probability) => this.random.float() < probability);
    const clicks = clicked.filter(Boolean).length;
    onSlate?.({ person, at: this.at, taste: this.taste, items: slate.items, probabilities, clicks, hasMet });
    for (let position = 0; position < slate.items.length; position++) {
      const shown = { slate, placement, position };
      if (clicked[position]!) yield* this.open(slate.items[position]!, { type: 'click', page: placement, shown });
      else yield* this.maybeSkip(slate.items[position]!, { page: placement, shown });
    }
    this.wait(READING_MS);
    return clicks;
  }

  /** Chooses a few items without help. Counts as many clicks as items opened. */
  *lookAround(): Generator<Act, number, ShownSlate | undefined> {
    const page = this.random.float() < 0.4 ? 'search' : 'browse';
    const looks = 1 + this.random.int(LOOKS_MAX);
    this.wait(READING_MS);
    for (let i = 0; i < looks; i++) yield* this.open(this.choose(), { type: 'view', page });
    return looks;
  }

  private *open(
    item: number,
    how: Pick<InteractionAct, 'type' | 'page' | 'shown'>,
  ): Generator<Act, void, ShownSlate | undefined> {
    this.wait(READING_MS);
    const followUps = createFollowUps(this.world, { taste: this.taste, item, random: this.random });
    yield { kind: 'interaction', at: this.at, item, ...how, dwellMs: followUps.dwellMs };
    this.histories.meet(this.visit.person, item);
    this.lastItem = item;
    for (const act of followUps.acts) {
      yield { kind: 'interaction', at: this.at + act.afterMs, item, page: how.page, shown: how.shown, ...act.detail };
    }
    this.at += followUps.dwellMs;
  }

  private *maybeSkip(
    item: number,
    { page, shown }: { page: Page; shown: NonNullable<InteractionAct['shown']> },
  ): Generator<Act, void, ShownSlate | undefined> {
    if (item < 0 || this.random.float() >= SKIP_SHARE * examinationAt(shown.position)) return;
    yield { kind: 'interaction', at: this.at, type: 'skip', item, page, shown };
  }

  /** One of a few items of a department that interests, drawn by demand; the odds of a click decide (Gumbel's trick). */
  private choose(): number {
    const department = drawDepartment(this.taste.departments, this.random);
    let best = this.world.demand.drawIn(department, this.random);
    let bestScore = -Infinity;
    for (let i = 0; i < CONSIDERED; i++) {
      const item = this.world.demand.drawIn(department, this.random);
      const met = this.histories.hasMet(this.visit.person, item) ? MET_ODDS_LOG : 0;
      const score = this.world.attractionOf(this.taste, item) + met - Math.log(-Math.log(1 - this.random.float()));
      if (score > bestScore) {
        bestScore = score;
        best = item;
      }
    }
    return best;
  }

  /** Time passes: exponential with this mean. */
  private wait(meanMs: number): void {
    this.at += Math.round(-Math.log(1 - this.random.float()) * meanMs);
  }
}
