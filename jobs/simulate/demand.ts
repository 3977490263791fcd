/**
 * What is popular when: appeal × freshness × season × news, as tables to draw items from.
 *
 * Seasons move whole departments up and down; a breaking item jumps to many times its appeal and cools within a day.
 * Everything is a function of (seed, hour of the world); the tables are a cache of one hour, rewritten when another is
 * asked for (one pass over the items). Who drives the world moves it; drawing and buzz are of the hour last moved to.
 */
import type { Random } from '../../streams/random.js';
import type { Catalogue } from './catalogue.js';
import { drawFromSums, hashFloat } from './weighted-draw.js';

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** A just published item draws so many times more, fading over a week. */
const FRESHNESS_BOOST = 1.5;
const FRESHNESS_MS = 7 * DAY_MS;
/** In season a department draws 1.6 times its usual, out of it 0.4 times. */
const SEASON_REACH = 0.6;
/** Appeal of a breaking item: up to this many times the mean of all items on top of its own. */
const BREAKING_PEAK = 60;
const BREAKING_COOLING_MS = 5 * HOUR_MS;
/** After a day a burst is below 1 % of its peak. */
const BREAKING_LENGTH_MS = DAY_MS;
/** How much more likely a click on the hottest item gets, on the logarithm of the odds. */
const BUZZ_MOST = 1.5;

export interface DemandOptions {
  readonly startMs: number;
  /** Length of a year of seasons, days. */
  readonly seasonDays: number;
  readonly breakingPerDay: number;
}

export interface BreakingItem {
  readonly item: number;
  /** 1 at the beginning, then falling. */
  readonly heat: number;
}

export class Demand {
  /** Addition to the logarithm of the odds of a click, by item, at the present hour. */
  readonly buzz: Float32Array;
  private hour = Number.NaN;
  private seasons: Float64Array;
  private breaking: readonly BreakingItem[] = [];
  /** Items grouped by department, and the bounds of the groups. */
  private readonly grouped: Uint32Array;
  private readonly bounds: Uint32Array;
  private readonly sums: Float64Array;
  private readonly seed: number;
  private present = 0;

  constructor(
    private readonly catalogue: Catalogue,
    private readonly options: DemandOptions,
    random: Random,
  ) {
    const departments = catalogue.departments.length;
    this.seed = random.uint32();
    this.seasons = new Float64Array(departments);
    this.buzz = new Float32Array(catalogue.count);
    this.grouped = new Uint32Array(catalogue.count);
    this.bounds = new Uint32Array(departments + 1);
    this.sums = new Float64Array(catalogue.count);
    this.group();
  }

  /** Rewrites the tables when `time` lies in another hour than before. */
  moveTo(time: number): void {
    const hour = Math.floor(time / HOUR_MS);
    if (hour === this.hour) return;
    this.hour = hour;
    // The hour's beginning, not the time: who asks first in an hour must not matter.
    const at = hour * HOUR_MS;
    this.present = Math.max(1, this.catalogue.publishedCount(at));
    this.seasons = this.seasonsAt(at);
    for (const { item } of this.breaking) this.buzz[item] = 0;
    this.breaking = this.breakingAt(at);
    for (const { item, heat } of this.breaking) this.buzz[item] = Math.max(this.buzz[item]!, BUZZ_MOST * heat);
    this.sumUp(at);
  }

  /** Any published item, by demand. */
  draw(random: Random): number {
    return this.grouped[drawFromSums(this.sums, 0, this.sums.length, random)]!;
  }

  /** A published item of a department, by demand; any when the department has none yet. */
  drawIn(department: number, random: Random): number {
    const from = this.bounds[department]!;
    const to = this.bounds[department + 1]!;
    if (to === from || this.sums[to - 1]! <= (from === 0 ? 0 : this.sums[from - 1]!)) return this.draw(random);
    return this.grouped[drawFromSums(this.sums, from, to, random)]!;
  }

  /** Any published item, each as likely as the other. */
  drawEvenly(random: Random): number {
    return random.int(this.present);
  }

  get publishedItems(): number {
    return this.present;
  }

  /** Factor by department on what draws people, at any time. */
  seasonsAt(at: number): Float64Array {
    const years = (at - this.options.startMs) / (this.options.seasonDays * DAY_MS);
    return Float64Array.from({ length: this.catalogue.departments.length }, (_, department) => {
      const phase = years + hashFloat(this.seed, department, -1);
      return 1 + SEASON_REACH * Math.sin(2 * Math.PI * phase);
    });
  }

  /** What is in the news at a time, the latest first. */
  breakingAt(at: number): BreakingItem[] {
    const { startMs, breakingPerDay } = this.options;
    if (breakingPerDay <= 0) return [];
    const everyMs = DAY_MS / breakingPerDay;
    const latest = Math.floor((at - startMs) / everyMs);
    const found: BreakingItem[] = [];
    for (let n = latest; n >= 0 && at - startMs - n * everyMs < BREAKING_LENGTH_MS; n--) {
      const beganAt = startMs + n * everyMs;
      const item = Math.floor(hashFloat(this.seed, n) * Math.max(1, this.catalogue.publishedCount(beganAt)));
      found.push({ item, heat: Math.exp(-(at - beganAt) / BREAKING_COOLING_MS) });
    }
    return found;
  }

  private sumUp(at: number): void {
    const { appeal, publishedAt, department } = this.catalogue;
    const burst = new Map(this.breaking.map(({ item, heat }) => [item, BREAKING_PEAK * heat]));
    let sum = 0;
    for (let i = 0; i < this.grouped.length; i++) {
      const item = this.grouped[i]!;
      if (item < this.present) {
        const freshness = 1 + FRESHNESS_BOOST * Math.exp(-(at - publishedAt[item]!) / FRESHNESS_MS);
        sum += this.seasons[department[item]!]! * (appeal[item]! * freshness + (burst.get(item) ?? 0));
      }
      this.sums[i] = sum;
    }
  }

  private group(): void {
    const { department, count } = this.catalogue;
    for (let item = 0; item < count; item++) this.bounds[department[item]! + 1]!++;
    for (let d = 0; d < this.seasons.length; d++) this.bounds[d + 1] = this.bounds[d + 1]! + this.bounds[d]!;
    const next = this.bounds.slice();
    for (let item = 0; item < count; item++) this.grouped[next[department[item]!]!++] = item;
  }
}
