/**
 * A simulated world: items, people with hidden tastes, and how likely a person is to click on an item.
 *
 * Seeded and unchanging: what people did, and what they remember, is kept by who drives the world (behaviour.ts). Time is
 * the world's own, ms since epoch. Tastes can be asked for at any time; what is popular and in the news is that of the hour
 * to which `demand` was last moved.
 *
 *   logit P(click | seen) = −3.4 + 0.9 ln((m + .01) / .08) + 2.2 ⟨v, w⟩ + 0.4 q − 0.35 |price − budget| + buzz
 *   m: the person's share of interest in the item's department, v: taste vector, w: item vector (length 1), q: quality.
 *   Worked example: an item of a favourite department (m = .45) with ⟨v, w⟩ = .6, q = 1, price as liked:
 *   −3.4 + 1.57 + 1.32 + .4 = −.11, so .47; one of no interest (m = .005) with ⟨v, w⟩ = 0, q = 0: −4.9, so .007.
 */
import { EngineError } from '../../schemas/errors.js';
import { seededRandom, type Random } from '../../streams/random.js';
import { Catalogue, TASTE_DIMENSIONS } from './catalogue.js';
import { Demand } from './demand.js';
import { People, type Taste } from './people.js';

export interface WorldOptions {
  readonly seed: string | number;
  /** 50 to 100,000; default 2,000. */
  readonly items?: number | undefined;
  /** 10 to 1,000,000; default 5,000. */
  readonly users?: number | undefined;
  /** Departments, 12 to 20; default 16. */
  readonly categories?: number | undefined;
  /** Time at which the world begins, ms since epoch; default 2025-01-06. */
  readonly startMs?: number | undefined;
  /** Share of people who come without an account; default 0.25. Of these 60 % log in some day. */
  readonly anonymousShare?: number | undefined;
  /** Typical time in which an interest comes and goes, days; default 20; Infinity: tastes stand still. */
  readonly driftDays?: number | undefined;
  /** Length of a year of seasons, days; default 90. */
  readonly seasonDays?: number | undefined;
  /** Items that break into the news, a day; default 3. */
  readonly breakingPerDay?: number | undefined;
  /** Share of the items that is published after the start, within 30 days: 0 to 0.5; default 0.03. */
  readonly upcomingShare?: number | undefined;
  /** Address of an item's picture; default a data: URL that holds the picture. */
  readonly pictureUrl?: ((itemId: string) => string) | undefined;
}

export const WORLD_START_MS = Date.UTC(2025, 0, 6);
const ITEMS = { least: 50, most: 100_000 };
const USERS = { least: 10, most: 1_000_000 };
const CATEGORIES = { least: 12, most: 20 };
/** Half of the fewest items is still more than a slate. */
const UPCOMING_SHARE = { least: 0, most: 0.5, isFraction: true };
const ANONYMOUS_SHARE = { least: 0, most: 1, isFraction: true };
const DRIFT_DAYS = { least: 0.01, most: Infinity, isFraction: true };
const SEASON_DAYS = { least: 0.01, most: Infinity, isFraction: true };
const BREAKING_PER_DAY = { least: 0, most: 1_000, isFraction: true };

const BIAS = -3.4;
const DEPARTMENT_WEIGHT = 0.9;
const STYLE_WEIGHT = 2.2;
const QUALITY_WEIGHT = 0.4;
const PRICE_WEIGHT = 0.35;

export interface World {
  readonly seed: string;
  readonly startMs: number;
  readonly catalogue: Catalogue;
  readonly people: People;
  readonly demand: Demand;
  /** Stream of randomness that belongs to the world's seed. */
  stream(name: string): Random;
  tasteAt(person: number, at: number): Taste;
  /** Logarithm of the odds of a click once seen, for a person who never met the item; −∞ for an index of −1. */
  attractionOf(taste: Taste, item: number): number;
  clickProbabilityOf(taste: Taste, item: number): number;
  /** The n published items that a person is most likely to click on, best first: what only hidden tastes can tell. */
  oracleSlate(taste: Taste, n: number, isExcluded?: (item: number) => boolean): number[];
  /** n distinct published items, each as likely as the other. */
  randomSlate(n: number, random: Random): number[];
  /** n distinct items, half of what everybody wants and half of the departments a person likes: no learning in it. */
  popularSlate(taste: Taste, n: number, random: Random): number[];
}

/** @throws CONFIG_INVALID listing every option out of bounds */
export function createWorld(options: WorldOptions): World {
  const {
    seed,
    items = 2_000,
    users = 5_000,
    categories = 16,
    startMs = WORLD_START_MS,
    anonymousShare = 0.25,
    driftDays = 20,
    seasonDays = 90,
    breakingPerDay = 3,
    upcomingShare = 0.03,
    pictureUrl,
  } = options;
  requireBounds({
    items: [items, ITEMS],
    users: [users, USERS],
    categories: [categories, CATEGORIES],
    upcomingShare: [upcomingShare, UPCOMING_SHARE],
    anonymousShare: [anonymousShare, ANONYMOUS_SHARE],
    driftDays: [driftDays, DRIFT_DAYS],
    seasonDays: [seasonDays, SEASON_DAYS],
    breakingPerDay: [breakingPerDay, BREAKING_PER_DAY],
  });
  const random = seededRandom(String(seed)).stream('world');
  const catalogue = new Catalogue(
    { items, departments: categories, upcomingShare, startMs, pictureUrl },
    random.stream('catalogue'),
  );
  const departmentSizes = new Float64Array(categories);
  for (const department of catalogue.department) departmentSizes[department]!++;
  const people = new People({ users, anonymousShare, driftDays, startMs, departmentSizes }, random.stream('people'));
  const demand = new Demand(catalogue, { startMs, seasonDays, breakingPerDay }, random.stream('demand'));
  demand.moveTo(startMs);
  return new SeededWorld(String(seed), startMs, { catalogue, people, demand, random });
}

interface WorldParts {
  readonly catalogue: Catalogue;
  readonly people: People;
  readonly demand: Demand;
  readonly random: Random;
}

class SeededWorld implements World {
  readonly catalogue: Catalogue;
  readonly people: People;
  readonly demand: Demand;
  private readonly random: Random;

  constructor(
    readonly seed: string,
    readonly startMs: number,
    parts: WorldParts,
  ) {
    ({ catalogue: this.catalogue, people: this.people, demand: this.demand, random: this.random } = parts);
  }

  stream(name: string): Random {
    return this.random.stream(name);
  }

  tasteAt(person: number, at: number): Taste {
    return this.people.tasteAt(person, at, this.demand.seasonsAt(at));
  }

  attractionOf(taste: Taste, item: number): number {
    if (item < 0) return -Infinity;
    const { vectors, department, quality, priceLevel } = this.catalogue;
    const share = taste.departments[department[item]!]!;
    let product = 0;
    const at = item * TASTE_DIMENSIONS;
    for (let i = 0; i < TASTE_DIMENSIONS; i++) product += taste.vector[i]! * vectors[at + i]!;
    return (
      BIAS +
      DEPARTMENT_WEIGHT * Math.log((share + 0.01) / 0.08) +
      STYLE_WEIGHT * product +
      QUALITY_WEIGHT * quality[item]! -
      PRICE_WEIGHT * Math.abs(priceLevel[item]! - taste.budget) +
      this.demand.buzz[item]!
    );
  }

  clickProbabilityOf(taste: Taste, item: number): number {
    return sigmoid(this.attractionOf(taste, item));
  }

  oracleSlate(taste: Taste, n: number, isExcluded?: (item: number) => boolean): number[] {
    const best: { item: number; attraction: number }[] = [];
    for (let item = 0; item < this.demand.publishedItems; item++) {
      const attraction = this.attractionOf(taste, item);
      if (best.length === n && attraction <= best[n - 1]!.attraction) continue;
      if (isExcluded?.(item) === true) continue;
      let place = best.length;
      while (place > 0 && best[place - 1]!.attraction < attraction) place--;
      best.splice(place, 0, { item, attraction });
      if (best.length > n) best.pop();
    }
    return best.map(({ item }) => item);
  }

  randomSlate(n: number, random: Random): number[] {
    return distinct(n, () => this.demand.drawEvenly(random));
  }

  popularSlate(taste: Taste, n: number, random: Random): number[] {
    return distinct(n, (place) =>
      place % 2 === 0
        ? this.demand.draw(random)
        : this.demand.drawIn(drawDepartment(taste.departments, random), random),
    );
  }
}

/** A department by a person's share of interest. */
export function drawDepartment(shares: Float64Array, random: Random): number {
  let left = random.float();
  for (let d = 0; d < shares.length - 1; d++) if ((left -= shares[d]!) < 0) return d;
  return shares.length - 1;
}

export function sigmoid(logit: number): number {
  return 1 / (1 + Math.exp(-logit));
}

/** Draws beyond which a slate stays shorter: a world of few items may not have n that differ. */
const DRAWS_PER_PLACE = 8;

function distinct(n: number, draw: (place: number) => number): number[] {
  const drawn: number[] = [];
  for (let i = 0; i < n * DRAWS_PER_PLACE && drawn.length < n; i++) {
    const item = draw(drawn.length);
    if (!drawn.includes(item)) drawn.push(item);
  }
  return drawn;
}

interface Bounds {
  readonly least: number;
  readonly most: number;
  readonly isFraction?: boolean;
}

function requireBounds(checks: Record<string, readonly [number, Bounds]>): void {
  const fits = (value: number, { least, most, isFraction }: Bounds): boolean =>
    value >= least && value <= most && (isFraction === true || Number.isInteger(value));
  const faults = Object.entries(checks)
    .filter(([, [value, bounds]]) => !fits(value, bounds))
    .map(([name, [value, bounds]]) => {
      const kind = bounds.isFraction === true ? 'a number' : 'an integer';
      return `${name} is ${value}, expected ${kind} from ${bounds.least} to ${bounds.most}`;
    });
  if (faults.length > 0) throw new EngineError('CONFIG_INVALID', `Simulated world: ${faults.join('; ')}.`);
}
