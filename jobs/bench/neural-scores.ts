/**
 * How long neural_cf takes to score a request's candidates: its published size (embedding 64, layers 128-64-32), fitted
 * for an epoch on drawn people, one request after the other.
 */
import { seededRandom } from '../../streams/random.js';
import { requireAlgorithm } from '../../serving/models/algorithms.js';
import type { TrainingSet } from '../../serving/models/training-set.js';
import type { CommandContext } from '../commands/command.js';
import { runFit } from '../train/fit-run.js';
import { Histogram } from './histogram.js';
import { measure } from './measure.js';

export interface NeuralScoresOptions {
  readonly candidates: number;
  readonly requests: number;
  readonly users: number;
  readonly items: number;
  readonly strangers: boolean;
  readonly seed: number;
}

const ROW_LENGTH = 20;
/** Requests before measuring, while the code is compiled. */
const WARM_UP = 200;
const MEMORY_BYTES_MAX = 4 * 2 ** 30;

export async function runNeuralScores(context: CommandContext, options: NeuralScoresOptions): Promise<void> {
  const { clock, logger, terminal } = context;
  const random = seededRandom(options.seed);
  const set = drawnPeople(options);
  const fit = await runFit(await requireAlgorithm('neural_cf'), { epochs: 1 }, set, {
    ...{ clock, logger, random, threads: 1, memoryBytesMax: MEMORY_BYTES_MAX },
    signal: new AbortController().signal,
  });
  const draws = random.stream('requests');
  const times = new Histogram();
  const ask = (into: Histogram): void => {
    const user = draws.int(options.users);
    const candidates = Int32Array.from({ length: options.candidates }, () => draws.int(options.items));
    const query = {
      user: options.strangers ? -1 : user,
      items: set.items.subarray(set.rowStart[user], set.rowStart[user + 1]),
    };
    const start = clock.monotonic();
    fit.model.score(query, candidates);
    into.add(clock.monotonic() - start);
  };
  try {
    for (let i = 0; i < WARM_UP; i++) ask(new Histogram());
    const cost = await measure(clock, async () => {
      for (let i = 0; i < options.requests; i++) ask(times);
    });
    const { candidates, requests, strangers } = options;
    const cpuMs = (cost.cpuSeconds * 1_000) / requests;
    terminal.result({ bench: 'neural-scores', candidates, requests, strangers, cpuMs, ...times.quantiles() });
  } finally {
    await fit.model.close();
  }
}

function drawnPeople({ users, items, seed }: NeuralScoresOptions): TrainingSet {
  const draws = seededRandom(seed).stream('people');
  const count = users * ROW_LENGTH;
  return {
    userIds: Array.from({ length: users }, (_, u) => `user-${u}`),
    itemIds: Array.from({ length: items }, (_, i) => `item-${i}`),
    rowStart: Int32Array.from({ length: users + 1 }, (_, u) => u * ROW_LENGTH),
    items: Int32Array.from({ length: count }, () => draws.int(items)),
    times: Float64Array.from({ length: count }, (_, p) => p),
    weights: new Float32Array(count).fill(1),
    types: new Uint8Array(count),
    ...{ hasTimes: false, hasWeights: false, isSessions: false },
  };
}
