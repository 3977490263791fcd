/**
 * The people of a simulated world: what is known of them, how often they come, and their hidden, drifting tastes.
 *
 * A taste is a function of (seed, person, time) and is computed, never stepped: it can be asked for at any time, in any
 * order, and nothing has to be kept up to date.
 *
 *   departments  m(t) ∝ 0.06 · size + Σ_j share_j · sin²(π x_j) · [department drawn for epoch j]
 *                Three interests rise and fall, each with its own period (about `driftDays`); where one has faded to
 *                nothing (x = 0) the next department takes its place. Sums to 1 over departments.
 *   vector       v(t) = a cos φ + b sin φ, φ = 2π t / (6 · driftDays): turns in a plane of the item vectors' space.
 *
 * Worked example: 20 days and x = 0.5, 0.25, 0 give 0.5 · 1, 0.3 · 0.5 and 0: the first interest has 3.3 times the
 * weight of the second, the third is changing.
 */
import type { Random } from '../../streams/random.js';
import { TASTE_DIMENSIONS, unitVector } from './catalogue.js';
import { drawFromSums, hashFloat, sumsOf } from './weighted-draw.js';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const INTEREST_SHARES = [0.5, 0.3, 0.2] as const;
/** Weight of what everybody looks at now and then. */
const COMMON_SHARE = 0.06;
/** A turn of the style vector takes so many drift periods. */
const TURN_PERIODS = 6;
/** Pareto: few people make most visits. Mean 0.35 · α / (α − 1) = 0.93 visits a day. */
const ACTIVITY_LEAST = 0.35;
const ACTIVITY_ALPHA = 1.6;
const ACTIVITY_MOST = 40;
/** Of the anonymous ones, so many log in some day, after 1 to `LOGIN_VISITS_MAX` visits. */
const LOGIN_SHARE = 0.6;
const LOGIN_VISITS_MAX = 4;
/** `loginVisit` of those who never do. */
const NEVER = 255;

/** Visits by local hour, relative to the busiest. */
const HOURS = [
  0.22, 0.12, 0.08, 0.06, 0.06, 0.1, 0.22, 0.4, 0.5, 0.52, 0.54, 0.58, 0.66, 0.62, 0.55, 0.54, 0.58, 0.68, 0.8, 0.92, 1,
  0.96, 0.74, 0.44,
];
/** Wakefulness over a day, on average. */
export const MEAN_WAKEFULNESS = HOURS.reduce((sum, share) => sum + share, 0) / HOURS.length;

export interface Country {
  /** ISO 3166-1 alpha-2. */
  readonly code: string;
  readonly language: string;
  /** Local time minus UTC, minutes; without daylight saving. */
  readonly utcOffset: number;
  /** Share of people, relative. */
  readonly share: number;
}

const COUNTRIES: readonly Country[] = [
  { code: 'US', language: 'en-US', utcOffset: -300, share: 24 },
  { code: 'BR', language: 'pt-BR', utcOffset: -180, share: 11 },
  { code: 'GB', language: 'en-GB', utcOffset: 0, share: 9 },
  { code: 'DE', language: 'de-DE', utcOffset: 60, share: 12 },
  { code: 'FR', language: 'fr-FR', utcOffset: 60, share: 8 },
  { code: 'PL', language: 'pl-PL', utcOffset: 60, share: 4 },
  { code: 'NG', language: 'en-NG', utcOffset: 60, share: 4 },
  { code: 'IN', language: 'en-IN', utcOffset: 330, share: 14 },
  { code: 'JP', language: 'ja-JP', utcOffset: 540, share: 9 },
  { code: 'AU', language: 'en-AU', utcOffset: 600, share: 5 },
];

const DEVICES: readonly { readonly device: string; readonly os: string; readonly share: number }[] = [
  { device: 'phone', os: 'Android', share: 38 },
  { device: 'phone', os: 'iOS', share: 24 },
  { device: 'desktop', os: 'Windows', share: 20 },
  { device: 'desktop', os: 'macOS', share: 9 },
  { device: 'tablet', os: 'iPadOS', share: 7 },
  { device: 'tv', os: 'Tizen', share: 2 },
];

export interface PeopleOptions {
  readonly users: number;
  /** Share that comes without an account. */
  readonly anonymousShare: number;
  /** Typical time in which an interest comes and goes, days of the world; Infinity: tastes stand still. */
  readonly driftDays: number;
  readonly startMs: number;
  /** Relative sizes of the departments. */
  readonly departmentSizes: ArrayLike<number>;
}

/** What one person likes at one time. Hidden: only the world and its judges see it. */
export interface Taste {
  /** Share of interest by department; sums to 1. */
  readonly departments: Float64Array;
  readonly vector: Float64Array;
  /** Price level that suits best, in standard deviations. */
  readonly budget: number;
}

export class People {
  readonly count: number;
  /** Visits a day, on average over the hours. */
  readonly activity: Float64Array;
  readonly budget: Float32Array;
  /** Visits after which an anonymous person logs in; 0 for those with an account from the start. */
  private readonly loginVisit: Uint8Array;
  private readonly country: Uint8Array;
  private readonly device: Uint8Array;
  private readonly axes: Float32Array;
  private readonly sizeSums: Float64Array;
  private readonly seed: number;

  constructor(
    private readonly options: PeopleOptions,
    random: Random,
  ) {
    const n = options.users;
    this.count = n;
    this.seed = random.stream('tastes').uint32();
    this.activity = new Float64Array(n);
    this.budget = new Float32Array(n);
    this.loginVisit = new Uint8Array(n);
    this.country = new Uint8Array(n);
    this.device = new Uint8Array(n);
    this.axes = new Float32Array(n * 2 * TASTE_DIMENSIONS);
    this.sizeSums = sumsOf(options.departmentSizes);
    this.fill(random);
  }

  knownIdOf(person: number): string {
    return `user-${person}`;
  }

  anonymousIdOf(person: number): string {
    return `visitor-${person}`;
  }

  startsAnonymous(person: number): boolean {
    return this.loginVisit[person] !== 0;
  }

  /** Whether an anonymous person logs in during this visit, the first being 1. */
  logsInAt(person: number, visit: number): boolean {
    const at = this.loginVisit[person]!;
    return at !== 0 && at !== NEVER && visit >= at;
  }

  countryOf(person: number): Country {
    return COUNTRIES[this.country[person]!]!;
  }

  deviceOf(person: number): (typeof DEVICES)[number] {
    return DEVICES[this.device[person]!]!;
  }

  /** How likely the person is about at this time, relative to the busiest hour: in (0, 1]. */
  wakefulnessAt(person: number, at: number): number {
    const local = at + this.countryOf(person).utcOffset * 60_000;
    return HOURS[Math.floor(local / HOUR_MS) % 24]!;
  }

  /** `seasons`: factor by department on what people are drawn to at that time. */
  tasteAt(person: number, at: number, seasons: ArrayLike<number>): Taste {
    const departments = new Float64Array(this.sizeSums.length);
    const whole = this.sizeSums[this.sizeSums.length - 1]!;
    for (let d = 0; d < departments.length; d++) {
      departments[d] = (COMMON_SHARE * (this.sizeSums[d]! - (d === 0 ? 0 : this.sizeSums[d - 1]!))) / whole;
    }
    for (let j = 0; j < INTEREST_SHARES.length; j++) this.addInterest(departments, person, j, at);
    let sum = 0;
    for (let d = 0; d < departments.length; d++) sum += departments[d] = departments[d]! * (seasons[d] ?? 1);
    for (let d = 0; d < departments.length; d++) departments[d] = departments[d]! / sum;
    return { departments, vector: this.vectorAt(person, at), budget: this.budget[person]! };
  }

  private addInterest(departments: Float64Array, person: number, j: number, at: number): void {
    const period = this.options.driftDays * DAY_MS * (0.6 + 0.8 * hashFloat(this.seed, person, j, -1));
    const x = (at - this.options.startMs) / period + hashFloat(this.seed, person, j, -2);
    const epoch = Math.floor(x);
    const target = hashFloat(this.seed, person, j, epoch) * this.sizeSums[this.sizeSums.length - 1]!;
    let d = 0;
    while (d < departments.length - 1 && this.sizeSums[d]! <= target) d++;
    departments[d] = departments[d]! + INTEREST_SHARES[j]! * Math.sin(Math.PI * (x - epoch)) ** 2;
  }

  private vectorAt(person: number, at: number): Float64Array {
    const phase = (2 * Math.PI * (at - this.options.startMs)) / (this.options.driftDays * TURN_PERIODS * DAY_MS);
    const vector = new Float64Array(TASTE_DIMENSIONS);
    const first = person * 2 * TASTE_DIMENSIONS;
    const cosine = Math.cos(phase);
    const sine = Math.sin(phase);
    for (let i = 0; i < TASTE_DIMENSIONS; i++) {
      vector[i] = this.axes[first + i]! * cosine + this.axes[first + TASTE_DIMENSIONS + i]! * sine;
    }
    return vector;
  }

  private fill(random: Random): void {
    const countries = sumsOf(COUNTRIES.map((country) => country.share));
    const devices = sumsOf(DEVICES.map((device) => device.share));
    const traits = random.stream('people');
    const axes = random.stream('styles');
    for (let person = 0; person < this.count; person++) {
      const pareto = ACTIVITY_LEAST * (1 - traits.float()) ** (-1 / ACTIVITY_ALPHA);
      this.activity[person] = Math.min(ACTIVITY_MOST, pareto);
      this.budget[person] = 0.7 * traits.gaussian();
      this.country[person] = drawFromSums(countries, 0, countries.length, traits);
      this.device[person] = drawFromSums(devices, 0, devices.length, traits);
      const isAnonymous = traits.float() < this.options.anonymousShare;
      const visit = traits.float() < LOGIN_SHARE ? 1 + traits.int(LOGIN_VISITS_MAX) : NEVER;
      this.loginVisit[person] = isAnonymous ? visit : 0;
      this.axes.set(unitVector(axes), person * 2 * TASTE_DIMENSIONS);
      this.axes.set(unitVector(axes), (person * 2 + 1) * TASTE_DIMENSIONS);
    }
  }
}
