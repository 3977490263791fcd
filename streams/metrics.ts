/**
 * Counters, gauges and histograms for operators and dashboards, rendered in the Prometheus text format.
 *
 * A component asks once, at construction, for the series it will touch and keeps the handle: on the hot path an
 * increment is an addition to a plain number and nothing is hashed or allocated. Names and labels are joined only
 * when `render` is called. This file alone imports prom-client, which owns the text format and the process metrics.
 *
 * Invariant: a name has one kind, one help text and one set of label names; its series are bounded, and what comes
 * above the bound is counted in one series whose labels all say `other`, never dropped and never kept apart.
 */
import { collectDefaultMetrics, type Metric, Registry } from 'prom-client';
import { invariant } from '../schemas/errors.js';

export type Labels = Readonly<Record<string, string>>;

export interface Counter {
  /** Adds `by` >= 0, 1 when omitted. */
  inc(by?: number): void;
  readonly value: number;
}

export interface Gauge {
  set(value: number): void;
  add(by: number): void;
  readonly value: number;
}

export interface Histogram {
  observe(value: number): void;
  readonly count: number;
  readonly sum: number;
  /** Estimate of the q-quantile, linear within its bucket; NaN before the first observation. */
  quantile(q: number): number;
}

export interface HistogramOptions {
  readonly labels?: Labels;
  /** Upper bounds, ascending, without infinity. Fixed by the first call for the name. */
  readonly buckets?: readonly number[];
}

/** One series as plain values, for the dashboard and for reports. */
export interface MetricSample {
  readonly name: string;
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly labels: Labels;
  /** Of a histogram: its number of observations. */
  readonly value: number;
  readonly sum?: number;
  readonly p50?: number;
  readonly p99?: number;
}

/**
 * Names are snake_case with the unit last (`commit_duration_ms`, counters end in `_total`); they come out as
 * `freshet_<namespace>_<name>`. Asking again for the same name and labels returns the same handle.
 */
export interface Metrics {
  counter(name: string, help: string, labels?: Labels): Counter;
  gauge(name: string, help: string, labels?: Labels): Gauge;
  /** A gauge that is read when rendered: for sizes and lags somebody else keeps. The last reader given wins. */
  gaugeOf(name: string, help: string, read: () => number, labels?: Labels): void;
  histogram(name: string, help: string, options?: HistogramOptions): Histogram;
  /** All series in the text format, ordered by name and labels. */
  render(): Promise<string>;
  readonly contentType: string;
  samples(): MetricSample[];
}

export interface MetricsOptions {
  readonly namespace: string;
  /** Also report CPU, memory, collector and event-loop lag of this process. Once per process. */
  readonly includeProcess?: boolean;
}

/** From 50 µs to 30 s: wide enough for a state read and for a rebalance. */
export const LATENCY_MS_BUCKETS: readonly number[] = [
  0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000,
];

/** More series under one name means that a label holds ids; a scraper would choke on it before we do. */
const SERIES_PER_NAME_MAX = 2_000;

export function createMetrics(options: MetricsOptions): Metrics {
  return new PrometheusMetrics(options);
}

class PrometheusMetrics implements Metrics {
  private readonly registry = new Registry();
  private readonly families = new Map<string, Family>();
  private readonly prefix: string;

  constructor({ namespace, includeProcess = false }: MetricsOptions) {
    this.prefix = `freshet_${namespace.toLowerCase().replace(/[^a-z0-9_]/g, '_')}_`;
    if (includeProcess) collectDefaultMetrics({ register: this.registry, prefix: this.prefix });
  }

  get contentType(): string {
    return this.registry.contentType;
  }

  counter(name: string, help: string, labels: Labels = {}): Counter {
    return this.family('counter', name, help, labels).series(labels, () => new PlainCounter(name));
  }

  gauge(name: string, help: string, labels: Labels = {}): Gauge {
    return this.family('gauge', name, help, labels).series(labels, () => new PlainGauge());
  }

  gaugeOf(name: string, help: string, read: () => number, labels: Labels = {}): void {
    this.family('gauge', name, help, labels).series(labels, () => new PlainGauge()).read = read;
  }

  histogram(name: string, help: string, options: HistogramOptions = {}): Histogram {
    const { labels = {}, buckets = LATENCY_MS_BUCKETS } = options;
    const family = this.family('histogram', name, help, labels);
    family.buckets ??= buckets;
    const bounds = family.buckets;
    return family.series(labels, () => new PlainHistogram(bounds));
  }

  async render(): Promise<string> {
    return await this.registry.metrics();
  }

  samples(): MetricSample[] {
    return [...this.families.values()].flatMap((family) => family.samples());
  }

  private family(kind: Kind, name: string, help: string, labels: Labels): Family {
    let family = this.families.get(name);
    if (family === undefined) {
      invariant(/^[a-z][a-z0-9_]*$/.test(name), `Metric name '${name}' is not snake_case`);
      family = new Family(kind, this.prefix + name, help, Object.keys(labels).sort());
      this.families.set(name, family);
      // prom-client only ever reads `name` and calls `get`; its types name its four own classes.
      this.registry.registerMetric(family as unknown as Metric);
    }
    const labelNames = Object.keys(labels).sort();
    invariant(
      family.type === kind && family.labelNames.join() === labelNames.join(),
      `Metric '${name}' is a ${family.type} with labels [${family.labelNames.join()}], not a ${kind} with [${labelNames.join()}]`,
    );
    return family;
  }
}

type Kind = MetricSample['kind'];

interface ExposedValue {
  metricName?: string;
  labels: Record<string, string | number>;
  value: number;
}

interface Series {
  expose(name: string, labels: Labels): ExposedValue[];
  sample(): Omit<MetricSample, 'name' | 'kind' | 'labels'>;
}

/** All series of one name, in the shape prom-client's registry reads. */
class Family {
  buckets: readonly number[] | undefined;
  private readonly seriesByKey = new Map<string, { labels: Labels; series: Series }>();

  constructor(
    readonly type: Kind,
    readonly name: string,
    readonly help: string,
    readonly labelNames: readonly string[],
  ) {}

  /** The caller's factory fits the family's kind, which `family()` has checked: hence the one cast. */
  series<S extends Series>(labels: Labels, create: () => S): S {
    const known = this.seriesByKey.get(this.keyOf(labels));
    if (known !== undefined) return known.series as unknown as S;
    const isFull = this.seriesByKey.size >= SERIES_PER_NAME_MAX && this.labelNames.length > 0;
    const kept: Labels = isFull ? Object.fromEntries(this.labelNames.map((name) => [name, 'other'])) : { ...labels };
    const overflow = isFull ? this.seriesByKey.get(this.keyOf(kept)) : undefined;
    if (overflow !== undefined) return overflow.series as unknown as S;
    const series = create();
    this.seriesByKey.set(this.keyOf(kept), { labels: kept, series });
    return series;
  }

  /** Called by prom-client when rendering. */
  get(): Promise<object> {
    const values = this.sorted().flatMap(({ labels, series }) => series.expose(this.name, labels));
    return Promise.resolve({ name: this.name, help: this.help, type: this.type, values, aggregator: 'sum' });
  }

  samples(): MetricSample[] {
    return this.sorted().map(({ labels, series }) => ({
      name: this.name,
      kind: this.type,
      labels,
      ...series.sample(),
    }));
  }

  private sorted(): { labels: Labels; series: Series }[] {
    return [...this.seriesByKey.entries()].sort(([left], [right]) => (left < right ? -1 : 1)).map(([, entry]) => entry);
  }

  private keyOf(labels: Labels): string {
    return JSON.stringify(this.labelNames.map((name) => labels[name]));
  }
}

class PlainCounter implements Counter, Series {
  value = 0;

  constructor(private readonly name: string) {}

  inc(by = 1): void {
    invariant(by >= 0, `Counter '${this.name}' cannot be increased by ${by}`);
    this.value += by;
  }

  expose(_name: string, labels: Labels): ExposedValue[] {
    return [{ labels, value: this.value }];
  }

  sample(): { value: number } {
    return { value: this.value };
  }
}

class PlainGauge implements Gauge, Series {
  read: (() => number) | undefined;
  private current = 0;

  get value(): number {
    return this.read === undefined ? this.current : this.read();
  }

  set(value: number): void {
    this.current = value;
  }

  add(by: number): void {
    this.current += by;
  }

  expose(_name: string, labels: Labels): ExposedValue[] {
    return [{ labels, value: this.value }];
  }

  sample(): { value: number } {
    return { value: this.value };
  }
}

class PlainHistogram implements Histogram, Series {
  count = 0;
  sum = 0;
  /** One count per bound, and one more for everything above the last. */
  private readonly counts: Float64Array;

  constructor(private readonly bounds: readonly number[]) {
    invariant(
      bounds.every((bound, i) => i === 0 || bound > bounds[i - 1]!),
      `Histogram bounds must ascend, got ${bounds.join()}`,
    );
    this.counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    let low = 0;
    let high = this.bounds.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (value <= this.bounds[middle]!) high = middle;
      else low = middle + 1;
    }
    this.counts[low]!++;
    this.count++;
    this.sum += value;
  }

  quantile(q: number): number {
    if (this.count === 0) return Number.NaN;
    const rank = q * this.count;
    let below = 0;
    for (let i = 0; i < this.bounds.length; i++) {
      const inBucket = this.counts[i]!;
      if (below + inBucket >= rank && inBucket > 0) {
        const from = i === 0 ? 0 : this.bounds[i - 1]!;
        return from + ((this.bounds[i]! - from) * (rank - below)) / inBucket;
      }
      below += inBucket;
    }
    return this.bounds[this.bounds.length - 1] ?? Number.NaN;
  }

  expose(name: string, labels: Labels): ExposedValue[] {
    let cumulative = 0;
    const values: ExposedValue[] = this.bounds.map((bound, i) => {
      cumulative += this.counts[i]!;
      return { metricName: `${name}_bucket`, labels: { ...labels, le: bound }, value: cumulative };
    });
    values.push({ metricName: `${name}_bucket`, labels: { ...labels, le: '+Inf' }, value: this.count });
    values.push({ metricName: `${name}_sum`, labels, value: this.sum });
    values.push({ metricName: `${name}_count`, labels, value: this.count });
    return values;
  }

  sample(): Omit<MetricSample, 'name' | 'kind' | 'labels'> {
    return { value: this.count, sum: this.sum, p50: this.quantile(0.5), p99: this.quantile(0.99) };
  }
}
