/**
 * Measured times, all of them kept: quantiles are exact, and a bench that takes minutes holds a few megabytes.
 *
 * Quantiles are by nearest rank: of 1,000 samples the 0.99-quantile is the 990th smallest, a time that really occurred.
 */

export interface Quantiles {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

const FIRST_CAPACITY = 4_096;

export class Histogram {
  private samples = new Float64Array(FIRST_CAPACITY);
  private isSorted = true;
  count = 0;

  add(ms: number): void {
    if (this.count === this.samples.length) {
      const grown = new Float64Array(this.samples.length * 2);
      grown.set(this.samples);
      this.samples = grown;
    }
    this.samples[this.count++] = ms;
    this.isSorted = false;
  }

  /** NaN when nothing was measured. */
  quantile(q: number): number {
    if (this.count === 0) return NaN;
    if (!this.isSorted) this.samples.subarray(0, this.count).sort();
    this.isSorted = true;
    return this.samples[Math.min(this.count - 1, Math.max(0, Math.ceil(q * this.count) - 1))]!;
  }

  quantiles(): Quantiles {
    return { p50Ms: this.quantile(0.5), p99Ms: this.quantile(0.99), maxMs: this.quantile(1) };
  }
}
