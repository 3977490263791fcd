/**
 * Stage `model-scorer`: ranks the best candidates again by one published model, beside their fused score.
 *
 *   score = (1 − w) · fused + w · (k + 1) / (k + rank),   k = 10, rank from 1 among the candidates the model knows
 *
 * Ranks, because scores of a model are of no scale that fusion knows; an item the model never met gets nothing for w.
 * Worked example, w = .5: fused .8 and third: .4 + .5 · 11/13 = .82. Candidates beyond the first 200 stay behind them.
 */
import type { PipelineStage, Slate } from '../pipeline/slate.js';
import type { ModelSlot } from './model-source.js';

const CANDIDATES_MAX = 200;
const RANK_CONSTANT = 10;

export function createModelScorerStage(
  slot: ModelSlot,
  options: { readonly weight: number; readonly onFault: (error: unknown) => void },
): PipelineStage {
  return {
    name: 'model-scorer',
    apply(slate, request) {
      const model = slot.current;
      const count = Math.min(slate.length, CANDIDATES_MAX);
      if (model === undefined || count < 2) return;
      let scores: Float32Array;
      try {
        scores = model.scores(request.retrieval, slate.items.slice(0, count));
      } catch (error) {
        options.onFault(error);
        return;
      }
      blend(slate, scores, options.weight);
    },
  };
}

function blend(slate: Slate, scores: Float32Array, weight: number): void {
  const places = Array.from(scores.keys());
  const byModel = places.filter((place) => scores[place]! > -Infinity).sort((a, b) => scores[b]! - scores[a]! || a - b);
  const blended = Float64Array.from(places, (place) => (1 - weight) * slate.scores[place]!);
  byModel.forEach((place, i) => (blended[place]! += (weight * (RANK_CONSTANT + 1)) / (RANK_CONSTANT + i + 1)));
  const rows = places.map((place) => ({
    item: slate.items[place]!,
    score: blended[place]!,
    source: slate.sources[place]!,
    second: slate.seconds[place]!,
  }));
  rows.sort((left, right) => right.score - left.score);
  rows.forEach(({ item, score, source, second }, place) => slate.write(place, item, score, source, second));
}
