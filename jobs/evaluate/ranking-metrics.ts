/**
 * Quality of ranked lists against one relevant item each: hit rate, reciprocal rank, NDCG, coverage.
 *
 * With one relevant item at rank r ≤ k (from 1): HR = 1, MRR = 1/r, NDCG = 1/log2(r + 1), since the ideal list has it
 * at rank 1; otherwise all are 0. Coverage is the number of distinct items shown over the number of items known.
 * Example: ranks 1, 3 and none in three tests give HR@10 2/3, MRR@10 (1 + 1/3)/3, NDCG@10 (1 + 1/2)/3.
 */
export interface RankingQuality {
  readonly tests: number;
  readonly hr10: number;
  readonly mrr10: number;
  readonly ndcg10: number;
  readonly coverage: number;
}

export class RankingMetrics {
  private tests = 0;
  private hits = 0;
  private reciprocal = 0;
  private gain = 0;
  private readonly shown = new Set<string>();

  /** `list` is best first and at most 10 long. */
  add(list: readonly string[], relevant: string): void {
    this.tests++;
    for (const itemId of list) this.shown.add(itemId);
    const rank = list.indexOf(relevant) + 1;
    if (rank === 0) return;
    this.hits++;
    this.reciprocal += 1 / rank;
    this.gain += 1 / Math.log2(rank + 1);
  }

  /** @param catalogueSize number of items that could have been shown */
  quality(catalogueSize: number): RankingQuality {
    const share = (sum: number): number => (this.tests === 0 ? 0 : sum / this.tests);
    return {
      tests: this.tests,
      hr10: share(this.hits),
      mrr10: share(this.reciprocal),
      ndcg10: share(this.gain),
      coverage: catalogueSize === 0 ? 0 : this.shown.size / catalogueSize,
    };
  }
}
