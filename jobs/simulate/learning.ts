/**
 * Whether learning shows: click-through of the slates people were given, over time, between two bounds.
 *
 * Click-through is the mean probability of a click a place, computed from the hidden tastes of the very people who looked:
 * an expectation, so it bears far less noise than counted clicks (reported beside it). The bounds are computed for the
 * same people at the same moments: a slate drawn at random, and the oracle's, which knows the tastes and leaves out what
 * was met lately.
 *
 * Bounded: at most `BUCKETS_MAX` buckets; when they are full, neighbours are put together and buckets hold twice as many.
 */
import type { Random } from '../../streams/random.js';
import { placeProbability, SLATE_LENGTH, type SlateOutcome } from './behaviour.js';
import { runTraffic, type TrafficCounts, type TrafficOptions, type TrafficTarget } from './traffic.js';
import type { World } from './world.js';

export interface LearningBucket {
  readonly slates: number;
  /** World time of the bucket's first slate, ms since epoch. */
  readonly from: number;
  /** Mean probability of a click a place. */
  readonly ctr: number;
  /** Clicks a place, counted. */
  readonly ctrCounted: number;
  /** The bounds, for people of this bucket; 0 when none was compared. */
  readonly ctrRandom: number;
  readonly ctrOracle: number;
}

export interface LearningReport {
  readonly ctrRandom: number;
  /** Of the first bucket. */
  readonly ctrFirst: number;
  /** Of the last bucket that is full. */
  readonly ctrLast: number;
  readonly ctrOracle: number;
  /** Where the last full bucket stands between its random (0) and its oracle (1). */
  readonly reached: number;
  readonly slates: number;
  readonly clicks: number;
  readonly buckets: readonly LearningBucket[];
}

export interface LearningMeterOptions {
  /** Slates in a bucket at first; default 200. */
  readonly slatesPerBucket?: number | undefined;
  /** The bounds are computed for every n-th slate; default 5. An oracle slate costs one pass over the items. */
  readonly compareEvery?: number | undefined;
}

const BUCKETS_MAX = 64;

interface Sums {
  slates: number;
  from: number;
  places: number;
  probability: number;
  clicks: number;
  compared: number;
  random: number;
  oracle: number;
}

export class LearningMeter {
  private buckets: Sums[] = [];
  private bucketSlates: number;
  private slates = 0;
  private readonly draws: Random;
  private readonly compareEvery: number;

  constructor(
    private readonly world: World,
    options: LearningMeterOptions = {},
  ) {
    this.bucketSlates = options.slatesPerBucket ?? 200;
    this.compareEvery = options.compareEvery ?? 5;
    this.draws = world.stream('learning');
  }

  /** Give it to traffic as `onSlate`. */
  readonly observe = (outcome: SlateOutcome): void => {
    const bucket = this.openBucket(outcome.at);
    bucket.slates++;
    bucket.places += outcome.items.length;
    bucket.clicks += outcome.clicks;
    for (const probability of outcome.probabilities) bucket.probability += probability;
    if (this.slates++ % this.compareEvery === 0) this.compare(bucket, outcome);
  };

  report(): LearningReport {
    const buckets = this.buckets.map(describeBucket);
    const whole = describeBucket(this.buckets.reduce(addSums, createSums(0)));
    const first = buckets[0] ?? whole;
    const last = buckets.filter((bucket) => bucket.slates >= this.bucketSlates).at(-1) ?? first;
    return {
      ctrRandom: whole.ctrRandom,
      ctrFirst: first.ctr,
      ctrLast: last.ctr,
      ctrOracle: whole.ctrOracle,
      reached: ratio(last.ctr - last.ctrRandom, last.ctrOracle - last.ctrRandom),
      slates: this.slates,
      clicks: this.buckets.reduce((sum, bucket) => sum + bucket.clicks, 0),
      buckets,
    };
  }

  private openBucket(at: number): Sums {
    const last = this.buckets[this.buckets.length - 1];
    if (last !== undefined && last.slates < this.bucketSlates) return last;
    if (this.buckets.length === BUCKETS_MAX) this.halve();
    const bucket = createSums(at);
    this.buckets.push(bucket);
    return bucket;
  }

  private halve(): void {
    this.bucketSlates *= 2;
    this.buckets = this.buckets.flatMap((bucket, i) => {
      const next = this.buckets[i + 1];
      return i % 2 === 1 || next === undefined ? [] : addSums(bucket, next);
    });
  }

  private compare(bucket: Sums, { taste, hasMet }: SlateOutcome): void {
    const { world } = this;
    const sum = (items: readonly number[]): number =>
      items.reduce((total, item, position) => {
        return total + placeProbability(world, taste, { item, position, isMet: hasMet(item) });
      }, 0);
    bucket.random += sum(world.randomSlate(SLATE_LENGTH, this.draws));
    bucket.oracle += sum(world.oracleSlate(taste, SLATE_LENGTH, hasMet));
    bucket.compared++;
  }
}

function createSums(from: number): Sums {
  return { slates: 0, from, places: 0, probability: 0, clicks: 0, compared: 0, random: 0, oracle: 0 };
}

function addSums(a: Sums, b: Sums): Sums {
  return {
    slates: a.slates + b.slates,
    from: a.from,
    places: a.places + b.places,
    probability: a.probability + b.probability,
    clicks: a.clicks + b.clicks,
    compared: a.compared + b.compared,
    random: a.random + b.random,
    oracle: a.oracle + b.oracle,
  };
}

function describeBucket(sums: Sums): LearningBucket {
  return {
    slates: sums.slates,
    from: sums.from,
    ctr: ratio(sums.probability, sums.places),
    ctrCounted: ratio(sums.clicks, sums.places),
    ctrRandom: ratio(sums.random, sums.compared * SLATE_LENGTH),
    ctrOracle: ratio(sums.oracle, sums.compared * SLATE_LENGTH),
  };
}

export interface LearningRun {
  readonly report: LearningReport;
  readonly counts: TrafficCounts;
}

/** Runs traffic into a target and tells how click-through moved meanwhile. `events` or `signal` must end it. */
export async function measureLearning(
  world: World,
  target: TrafficTarget,
  options: TrafficOptions & LearningMeterOptions,
): Promise<LearningRun> {
  const meter = new LearningMeter(world, options);
  const onSlate = (outcome: SlateOutcome): void => {
    meter.observe(outcome);
    options.onSlate?.(outcome);
  };
  const counts = await runTraffic(world, target, { ...options, onSlate });
  return { report: meter.report(), counts };
}

/** One line for a terminal: `12,345 interactions, 2,061 slates, 511 visits, CTR 2.1 % (random 0.9, oracle 13.2)`. */
export function summaryLine(counts: TrafficCounts, report?: LearningReport): string {
  const parts = [
    `${grouped(counts.interactions)} interactions`,
    `${grouped(counts.slates)} slates`,
    `${grouped(counts.visits)} visits`,
  ];
  if (counts.faults > 0) parts.push(`${grouped(counts.faults)} faults`);
  if (counts.behindMost > 0) parts.push(`up to ${grouped(counts.behindMost)} records late`);
  if (report !== undefined) {
    parts.push(
      `CTR ${percent(report.ctrLast)} % (random ${percent(report.ctrRandom)}, oracle ${percent(report.ctrOracle)})`,
    );
  }
  return parts.join(', ');
}

const ratio = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);
const percent = (share: number): string => (100 * share).toFixed(1);
const grouped = (n: number): string => n.toLocaleString('en-US');
