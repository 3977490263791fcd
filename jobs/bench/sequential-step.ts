/**
 * One event of the live path of a transformer of the published size (length 50, d 128, 8 heads, 6 layers, feed-forward
 * 512): keys and values kept, against recomputing the window, on random parameters and drawn people.
 *
 * Amortised is CPU time over events, recomputations of full windows included; the largest difference to a full
 * recomputation over the same window is measured on a sample and must be below 1e-4.
 */
import { EngineError } from '../../schemas/errors.js';
import { seededRandom } from '../../streams/random.js';
import { LiveStates } from '../../serving/models/sequential/live-states.js';
import { packHistories } from '../../serving/models/sequential/packed-batch.js';
import { Parameters } from '../../serving/models/sequential/parameters.js';
import { EncoderScorer } from '../../serving/models/sequential/scorer.js';
import { Kernels } from '../../serving/models/tensors/kernels.js';
import { TransformerEncoder } from '../../serving/models/transformer/transformer-encoder.js';
import type { CommandContext } from '../commands/command.js';
import { Histogram } from './histogram.js';
import { measure } from './measure.js';

export interface SequentialStepOptions {
  readonly users: number;
  readonly events: number;
  readonly items: number;
  /** MiB. */
  readonly memory: number;
  readonly seed: number;
}

const SHAPE = { length: 50, dimensions: 128, heads: 8, layers: 6, feedForward: 512, dropout: 0 };
/** Compared with recomputation: one event in so many. */
const CHECK_EVERY = 97;
const DIFFERENCE_MAX = 1e-4;
/** Histories are given as their newest items: more than a window is never looked at. */
const HISTORY_MAX = 2 * SHAPE.length;

export async function runSequentialStep(context: CommandContext, options: SequentialStepOptions): Promise<void> {
  const { clock } = context;
  const random = seededRandom(options.seed);
  const encoder = new TransformerEncoder(new Parameters(new Kernels(), options.items, SHAPE.dimensions), SHAPE);
  encoder.parameters.initialise(random.stream('parameters'));
  const scorer = new EncoderScorer(encoder, { similarity: 'cosine', cosineScale: 16 });
  const { length, dimensions } = SHAPE;
  const states = new LiveStates(encoder.createSteps(), { length, dimensions, bytesMax: options.memory * 2 ** 20 });
  const histories = new Map<number, number[]>();
  const steps = new Histogram();
  const events = random.stream('events');
  let difference = 0;
  const draw = (): { user: number; history: Int32Array } => {
    const user = events.int(options.users);
    const history = [...(histories.get(user) ?? []), events.int(options.items)].slice(-HISTORY_MAX);
    histories.set(user, history);
    return { user, history: Int32Array.from(history) };
  };
  // Every window is full before measuring: a short one costs less.
  for (let i = 0; i < options.users * length; i++) advance(states, draw());
  const warm = states.usage();
  let checking = 0;
  const cost = await measure(clock, async () => {
    for (let i = 0; i < options.events; i++) {
      const event = draw();
      const start = clock.monotonic();
      const hidden = advance(states, event);
      steps.add(clock.monotonic() - start);
      if (i % CHECK_EVERY !== 0) continue;
      const checkStart = process.cpuUsage();
      difference = Math.max(difference, differenceTo(encoder, states.windowOf(String(event.user))!, hidden));
      checking += process.cpuUsage(checkStart).user / 1e6;
    }
  });
  const recomputed = await measure(clock, async () => {
    for (let i = 0; i < RECOMPUTED; i++)
      recompute(
        encoder,
        Int32Array.from({ length }, () => events.int(options.items)),
      );
  });
  const row = new Float32Array(options.items);
  const scored = await measure(clock, async () => {
    for (let i = 0; i < RECOMPUTED; i++) scorer.scoreHidden(advance(states, draw()), row);
  });
  const { bytesPerUser, users, bytes, hits, misses } = states.usage();
  const amortisedMs = ((cost.cpuSeconds - checking) * 1_000) / options.events;
  context.terminal.result({
    bench: 'sequential-step',
    ...SHAPE,
    amortisedMs,
    ...steps.quantiles(),
    recomputedMs: (recomputed.cpuSeconds * 1_000) / RECOMPUTED,
    withScoresMs: (scored.cpuSeconds * 1_000) / RECOMPUTED,
    items: options.items,
    bytesPerUser,
    users,
    bytes,
    hitRate: (hits - warm.hits) / (hits + misses - warm.hits - warm.misses),
    difference,
  });
  if (difference < DIFFERENCE_MAX) return;
  throw new EngineError('INVARIANT_VIOLATED', `Live states differ from recomputation by ${difference}.`);
}

const RECOMPUTED = 200;

function advance(states: LiveStates, { user, history }: { user: number; history: Int32Array }): Float32Array {
  return states.advance(String(user), history);
}

function recompute(encoder: TransformerEncoder, window: Int32Array): Float32Array {
  const { kernels } = encoder.parameters;
  const mark = kernels.mark();
  const hidden = encoder.forward(packHistories([window], encoder.length)).values;
  const last = hidden.slice((window.length - 1) * SHAPE.dimensions, window.length * SHAPE.dimensions);
  kernels.release(mark);
  return last;
}

function differenceTo(encoder: TransformerEncoder, window: Int32Array, hidden: Float32Array): number {
  return recompute(encoder, window).reduce((most, value, i) => Math.max(most, Math.abs(value - hidden[i]!)), 0);
}
