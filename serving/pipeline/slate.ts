/**
 * The candidates of one request on their way to a result, and the contract of the steps they pass.
 *
 * Parallel arrays, best first from fusion on; stages shorten or reorder them in place. A stage must be deterministic in
 * (slate, request, tables), must not allocate per candidate, and must leave `length` no longer than it found it unless
 * it says so (exploration adds one).
 */
import type { RetrievalRequest, UserSnapshotLike } from '../retrieval/request.js';

/** Source numbers that are no retrieval source. */
export const NO_SOURCE = 255;
export const EXPLORATION_SOURCE = 254;

export interface PipelineRequest {
  readonly user: UserSnapshotLike;
  readonly placement: string;
  /** Items asked for. */
  readonly limit: number;
  /** Not to be shown: what the page already has. */
  readonly excluded: ReadonlySet<string>;
  readonly now: number;
  readonly retrieval: RetrievalRequest;
}

export interface PipelineStage {
  /** Lower-case kebab; named in metrics. */
  readonly name: string;
  apply(slate: Slate, request: PipelineRequest): void;
}

export class Slate {
  length = 0;
  readonly items: Int32Array;
  readonly scores: Float64Array;
  /** Number of the source that contributed most. */
  readonly sources: Uint8Array;
  /** Number of the second, or NO_SOURCE. */
  readonly seconds: Uint8Array;

  constructor(readonly capacity: number) {
    this.items = new Int32Array(capacity);
    this.scores = new Float64Array(capacity);
    this.sources = new Uint8Array(capacity);
    this.seconds = new Uint8Array(capacity);
  }

  clear(): void {
    this.length = 0;
  }

  push(item: number, score: number, source: number, second: number): void {
    if (this.length < this.capacity) this.write(this.length++, item, score, source, second);
  }

  write(place: number, item: number, score: number, source: number, second: number): void {
    this.items[place] = item;
    this.scores[place] = score;
    this.sources[place] = source;
    this.seconds[place] = second;
  }

  copyWithin(target: number, from: number): void {
    this.write(target, this.items[from]!, this.scores[from]!, this.sources[from]!, this.seconds[from]!);
  }

  has(item: number): boolean {
    for (let i = 0; i < this.length; i++) if (this.items[i] === item) return true;
    return false;
  }
}
