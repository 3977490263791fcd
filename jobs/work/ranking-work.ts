/**
 * Full rankings in shards of questions: the model is sent once, each shard with the histories of its own questions.
 *
 * A model loaded from its saved bytes answers as the one that was saved, so lists are those of a single process. Sampled
 * rankings are not shared out: their draws follow each other, and cost little.
 */
import { requireAlgorithm } from '../../serving/models/algorithms.js';
import { bytesOf } from '../../serving/models/model-files.js';
import type { LoadContext, Model, ModelArtefact } from '../../serving/models/model.js';
import { seededRandom } from '../../streams/random.js';
import { CaseList } from '../evaluate/case-list.js';
import { rankCases, type Ranking, type RankingOptions } from '../evaluate/ranking.js';
import { doublesOf, floatsOf, intsOf, packParts, unpackParts } from './packed-parts.js';
import type { WorkPool } from './work-pool.js';

interface RankingValues {
  readonly model: Omit<ModelArtefact, 'files'>;
  readonly depth: number;
  readonly withAuc: boolean;
  readonly excludesHistory: boolean;
  readonly hasTimes: boolean;
  readonly hasWeights: boolean;
  readonly isAmong: boolean;
}

const SHARDS = 16;
/** A shard loads a model: fewer questions are not worth it. */
const CASES_MIN = 64;

export async function shareRanking(
  pool: WorkPool,
  { files, ...model }: ModelArtefact,
  cases: CaseList,
  options: Omit<RankingOptions, 'sampled' | 'random'>,
): Promise<Ranking> {
  const { depth, withAuc, signal, onProgress } = options;
  const ranking = {
    depth,
    lists: new Int32Array(cases.count * depth).fill(-1),
    auc: new Float64Array(cases.count).fill(NaN),
  };
  const size = Math.max(CASES_MIN, Math.ceil(cases.count / SHARDS));
  const starts = Array.from({ length: Math.ceil(cases.count / size) }, (_, i) => i * size);
  const sent = await pool.share(packParts(files));
  try {
    const shards = starts.map((from) => {
      const { parts, ...flags } = questionsOf(cases, from, Math.min(cases.count, from + size));
      const values: RankingValues = { model, depth, withAuc, ...flags };
      return { kind: 'ranking' as const, values, inputs: [sent, packParts(parts)] };
    });
    const answers = await pool.run(shards, signal, (done) => onProgress?.(done / shards.length));
    answers.forEach((answer, i) => {
      const { lists, auc } = unpackParts(answer);
      ranking.lists.set(intsOf(lists!), starts[i]! * depth);
      ranking.auc.set(doublesOf(auc!), starts[i]);
    });
    return ranking;
  } finally {
    await pool.forget(sent);
  }
}

/** Questions from … to, their histories one after the other. */
function questionsOf(cases: CaseList, from: number, to: number) {
  const indexes = Array.from({ length: to - from }, (_, c) => from + c);
  const queries = indexes.map((c) => cases.query(c));
  const relevant = indexes.map((c) => cases.relevant(c));
  const [first] = queries;
  const joined = <T>(values: (c: number) => ArrayLike<T> | undefined): T[] =>
    queries.flatMap((_, c) => Array.from(values(c) ?? []));
  const parts = {
    users: Int32Array.from(queries, ({ user }) => user),
    lengths: Int32Array.from(queries, ({ items }) => items.length),
    nows: Float64Array.from(queries, ({ now }) => now ?? NaN),
    items: Int32Array.from(joined((c) => queries[c]!.items)),
    times: Float64Array.from(joined((c) => queries[c]!.times)),
    weights: Float32Array.from(joined((c) => queries[c]!.weights)),
    types: Uint8Array.from(joined((c) => queries[c]!.types)),
    relevantCounts: Int32Array.from(relevant, ({ length }) => length),
    relevant: Int32Array.from(joined((c) => relevant[c])),
    candidates: cases.candidates ?? new Int32Array(0),
  };
  return {
    parts,
    excludesHistory: cases.options.excludesHistory,
    hasTimes: first?.times !== undefined,
    hasWeights: first?.weights !== undefined,
    isAmong: cases.candidates !== undefined,
  };
}

/** The same questions again. */
function casesOf(parts: Readonly<Record<string, Uint8Array>>, values: RankingValues): CaseList {
  const items = intsOf(parts['items']!);
  const whole = <T>(flag: boolean, array: T, absent: T): T => (flag ? array : absent);
  const cases = new CaseList(
    {
      items,
      times: whole(values.hasTimes, doublesOf(parts['times']!), new Float64Array(items.length)),
      weights: whole(values.hasWeights, floatsOf(parts['weights']!), new Float32Array(items.length)),
      types: parts['types']!,
      hasTimes: values.hasTimes,
      hasWeights: values.hasWeights,
    },
    { excludesHistory: values.excludesHistory },
  );
  const [users, lengths, nows] = [intsOf(parts['users']!), intsOf(parts['lengths']!), doublesOf(parts['nows']!)];
  const [counts, relevant] = [intsOf(parts['relevantCounts']!), intsOf(parts['relevant']!)];
  let [place, answer] = [0, 0];
  users.forEach((user, c) => {
    const [to, end] = [place + lengths[c]!, answer + counts[c]!];
    cases.add({ user, from: place, to, relevant: relevant.subarray(answer, end), now: nows[c]! });
    [place, answer] = [to, end];
  });
  return values.isAmong ? cases.among(intsOf(parts['candidates']!)) : cases;
}

/** Loads a model from sent bytes, or gives the one that was loaded last. */
export type LoadSent = (sent: Uint8Array, load: (context: LoadContext) => Promise<Model>) => Promise<Model>;

/** At a worker. */
export async function workRanking(
  raw: object,
  [sent, questions]: readonly Uint8Array[],
  { load, signal }: { load: LoadSent; signal: AbortSignal },
): Promise<Uint8Array> {
  const values = raw as RankingValues;
  const model = await load(sent!, async (context) => {
    const algorithm = await requireAlgorithm(values.model.algorithm);
    return algorithm.load({ ...values.model, files: unpackParts(sent!) }, context);
  });
  const { depth, withAuc } = values;
  const random = seededRandom('full rankings draw nothing');
  const ranking = await rankCases(model, casesOf(unpackParts(questions!), values), { depth, withAuc, random, signal });
  return packParts({ lists: bytesOf(ranking.lists), auc: bytesOf(ranking.auc) });
}

/** What a model is sent as. */
export function artefactOf(model: Model, settings: Readonly<Record<string, unknown>>): ModelArtefact {
  const { algorithm, spaceId, itemCount, userCount } = model;
  return { algorithm, spaceId, settings, itemCount, userCount, files: model.save() };
}
