/**
 * A model's answers when it ranks generated candidates alone, as serving has it do, and how good the candidates are.
 *
 * The generator is learnt from the training set and the model as publication learns it; what it does not find cannot be
 * ranked, so the candidates' own recall bounds the model's. The confidence threshold of serving is left out: it decides
 * how much is shown, not in which order. AUC stays NaN: it is about the whole catalogue.
 */
import type { Clock } from '../../streams/clock.js';
import type { Random } from '../../streams/random.js';
import { CandidateGenerator } from '../../serving/models/candidates/candidate-generator.js';
import { learnCandidates } from '../../serving/models/candidates/candidate-parts.js';
import { topOf } from '../../serving/models/fitting.js';
import type { Model } from '../../serving/models/model.js';
import type { TrainingSet } from '../../serving/models/training-set.js';
import type { CaseList } from './case-list.js';
import type { Ranking } from './ranking.js';

/** What the candidates reach before anything ranks them. */
export interface GeneratedFigures {
  /** Mean share of the right items that are among the candidates. */
  readonly recall: number;
  /** Mean number of candidates a question. */
  readonly items: number;
}

export interface GeneratedOptions {
  readonly depth: number;
  readonly random: Random;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onProgress?: ((fraction: number) => void) | undefined;
}

const CASES_PER_TURN = 32;

export async function rankGenerated(
  model: Model,
  train: TrainingSet,
  cases: CaseList,
  options: GeneratedOptions,
): Promise<{ readonly ranking: Ranking; readonly generated: GeneratedFigures }> {
  const { depth, random, clock, signal, onProgress } = options;
  const nextTurn = async (): Promise<void> => {
    await clock.nextTurn();
    signal.throwIfAborted();
  };
  const parts = await learnCandidates(train, model, { random, nextTurn });
  const generator = await CandidateGenerator.build(parts, model, { nextTurn });
  const lists = new Int32Array(cases.count * depth).fill(-1);
  const rankable = cases.candidates && new Set(cases.candidates);
  let [recall, items] = [0, 0];
  for (let c = 0; c < cases.count; c++) {
    const query = cases.query(c);
    const found = generator.candidates(query).map(({ item }) => item);
    // Lower index first among equals, as everywhere.
    const candidates = Int32Array.from(rankable === undefined ? found : found.filter((item) => rankable.has(item)));
    candidates.sort();
    const isFound = new Set(candidates);
    const relevant = cases.relevant(c);
    recall += relevant.filter((item) => isFound.has(item)).length / relevant.length;
    items += candidates.length;
    if (candidates.length > 0) {
      const best = topOf(model.score(query, candidates), depth, undefined).items;
      lists.set(
        best.map((place) => candidates[place]!),
        c * depth,
      );
    }
    if (c % CASES_PER_TURN !== CASES_PER_TURN - 1) continue;
    onProgress?.((c + 1) / cases.count);
    await nextTurn();
  }
  const ranking = { depth, lists, auc: new Float64Array(cases.count).fill(NaN) };
  const count = Math.max(1, cases.count);
  return { ranking, generated: { recall: recall / count, items: items / count } };
}
