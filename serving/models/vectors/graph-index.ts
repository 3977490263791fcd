/**
 * Approximate nearest neighbours by usearch's HNSW graph, in half precision: the only file that imports it.
 *
 * Half precision has the best trade of recall for bytes (.9986 of full precision's at half the size); what it returns is
 * ranked again with the float16 distances it computed. usearch accepts NaN and infinity without a word, and a damaged or
 * foreign file kills the process: vectors are checked here, and indexes are rebuilt from vectors, never loaded from files.
 */
import { Index, MetricKind, ScalarKind } from 'usearch';
import { type Neighbours, requireVector, type Similarity, type VectorIndex } from './vector-index.js';

/** Links a vertex, and vertices looked at when adding and searching: usearch's own advice for recall above .99. */
const CONNECTIVITY = 16;
const EXPANSION = 64;
/** One thread: the order of insertions, and with it the graph, is then always the same. */
const THREADS = 1;

export class GraphIndex implements VectorIndex {
  private readonly index: Index;

  constructor(
    readonly dimensions: number,
    private readonly similarity: Similarity,
  ) {
    this.index = new Index({
      dimensions,
      metric: similarity === 'cosine' ? MetricKind.Cos : MetricKind.IP,
      quantization: ScalarKind.F16,
      connectivity: CONNECTIVITY,
      expansion_add: EXPANSION,
      expansion_search: EXPANSION,
      multi: false,
    });
  }

  get size(): number {
    return this.index.size();
  }

  put(key: number, vector: Float32Array): void {
    requireVector(vector, this.dimensions);
    this.remove(key);
    this.index.add(BigInt(key), vector, THREADS);
  }

  remove(key: number): boolean {
    return Number(this.index.remove(BigInt(key))) > 0;
  }

  search(query: Float32Array, k: number): Neighbours {
    requireVector(query, this.dimensions);
    const wanted = Math.min(k, this.size);
    if (wanted === 0) return { keys: new Int32Array(0), similarities: new Float32Array(0) };
    const { keys, distances } = this.index.search(query, wanted, THREADS);
    const found = Array.from(keys, (key, i) => [Number(key), 1 - distances[i]!] as const);
    found.sort((left, right) => right[1] - left[1] || left[0] - right[0]);
    return {
      keys: Int32Array.from(found, ([key]) => key),
      similarities: Float32Array.from(found, ([, similarity]) => similarity),
    };
  }
}
