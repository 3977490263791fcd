/**
 * Training of NeuMF: batches of met pairs and sampled others, early stopping on held-out pairs, then all data.
 *
 * A share of the interactions is held out; training goes on until the rank of held-out items among sampled ones has not
 * become better for a few epochs. Then the network is trained once more from the start on everything, for as many epochs
 * as were best. When the training set brings validation pairs, its rows are all learnt from at once and the parameters of
 * the best epoch are kept.
 *
 * Invariant: numbers of an epoch come from streams named after phase and epoch, so a fit that goes on from a checkpoint
 * gives the same bytes.
 */
import type { Random } from '../../../streams/random.js';
import { throwIfCancelled } from '../fitting.js';
import { bytesOf, jsonBytes } from '../model-files.js';
import type { FitContext, ModelFiles } from '../model.js';
import type { TrainingSet } from '../training-set.js';
import { CONTEXT_FLOATS, writeContext } from './context.js';
import { type Batch, initialParameters, Network, type Sizes } from './network.js';
import { adamDense, adamRows, type Moments } from './row-gradients.js';

export interface TrainingSettings {
  readonly embedding: number;
  readonly layers: readonly number[];
  readonly dropout: number;
  readonly l2: number;
  readonly batch: number;
  readonly epochs: number;
  readonly learningRate: number;
  readonly validation: number;
  readonly patience: number;
  readonly negatives: number;
}

/** Interactions to learn from or to look at, as positions of the training set. */
interface Split {
  readonly learnt: Int32Array;
  readonly held: readonly { readonly user: number; readonly item: number; readonly time: number | undefined }[];
  /** Whether the held-out are learnt from afterwards. */
  readonly isOwn: boolean;
}

interface State {
  phase: 'search' | 'whole' | 'done';
  epoch: number;
  step: number;
  best: { epoch: number; value: number };
  parameters: Record<string, Float32Array>;
  moments: Record<string, Moments>;
  bestParameters: Record<string, Float32Array>;
}

export async function train(
  set: TrainingSet,
  settings: TrainingSettings,
  context: FitContext,
): Promise<Record<string, Float32Array>> {
  const sizes: Sizes = { ...settings, users: set.userIds.length, items: set.itemIds.length };
  const split = splitOf(set, settings, context.random);
  const state = (await restored(sizes, context)) ?? started('search', sizes, context.random);
  const sampler = new Sampler(set);
  while (state.phase !== 'done') {
    throwIfCancelled(context);
    const network = new Network(sizes, state.parameters, Math.max(settings.batch, CANDIDATES));
    const last = state.phase === 'whole' ? state.best.epoch : settings.epochs;
    const positions = state.phase === 'whole' ? allOf(set) : split.learnt;
    while (state.epoch < last) {
      state.epoch++;
      const random = context.random.stream(`${state.phase}-${state.epoch}`);
      const loss = await runEpoch({ set, network, settings, context, state, sampler, positions, random });
      const value = state.phase === 'search' ? validate(network, split, sampler, context.random) : undefined;
      if (value !== undefined && value > state.best.value) {
        state.best = { epoch: state.epoch, value };
        for (const [name, values] of Object.entries(state.parameters)) state.bestParameters[name]!.set(values);
      }
      report(context, state, { settings, loss, value, isTwice: split.isOwn });
      const isStale = state.phase === 'search' && state.epoch - state.best.epoch >= settings.patience;
      if (isStale) break;
      if (context.checkpoints.isDue()) await context.checkpoints.save(filesOf(state));
    }
    advance(state, split, sizes, context.random);
  }
  context.progress({ epoch: state.best.epoch, epochs: settings.epochs, fraction: 1 });
  return state.parameters;
}

/** From the search to training on everything, or to the end. */
function advance(state: State, split: Split, sizes: Sizes, random: Random): void {
  if (state.phase === 'search' && split.isOwn) {
    Object.assign(state, { ...started('whole', sizes, random), best: state.best });
    return;
  }
  if (state.phase === 'search')
    for (const [name, v] of Object.entries(state.bestParameters)) state.parameters[name]!.set(v);
  state.phase = 'done';
}

function report(
  context: FitContext,
  { phase, epoch, best }: State,
  {
    settings,
    loss,
    value,
    isTwice,
  }: { settings: TrainingSettings; loss: number; value?: number | undefined; isTwice: boolean },
): void {
  const { epochs } = settings;
  const half = isTwice ? 0.5 : 1;
  const share = phase === 'search' ? half * (epoch / epochs) : half + (1 - half) * (epoch / best.epoch);
  const validation = value === undefined ? {} : { validation: { name: 'ndcg@10', value } };
  // The whole is only said when it is: early stopping ends a phase at any epoch.
  context.progress({ epoch, epochs, fraction: Math.min(0.999, share), loss, ...validation });
}

function started(phase: State['phase'], sizes: Sizes, random: Random): State {
  const parameters = initialParameters(sizes, random.stream('parameters'));
  const zeros = (): Record<string, Float32Array> =>
    Object.fromEntries(Object.entries(parameters).map(([name, { length }]) => [name, new Float32Array(length)]));
  const [mean, square] = [zeros(), zeros()];
  const moments = Object.fromEntries(
    Object.keys(parameters).map((name) => [name, { mean: mean[name]!, square: square[name]! }]),
  );
  return { phase, epoch: 0, step: 0, best: { epoch: 1, value: -1 }, parameters, moments, bestParameters: zeros() };
}

function filesOf({ parameters, moments, bestParameters, ...rest }: State): ModelFiles {
  const entries = Object.keys(parameters).flatMap<[string, Uint8Array]>((name) => [
    [`${name}.f32`, bytesOf(parameters[name]!)],
    [`${name}-mean.f32`, bytesOf(moments[name]!.mean)],
    [`${name}-square.f32`, bytesOf(moments[name]!.square)],
    [`${name}-best.f32`, bytesOf(bestParameters[name]!)],
  ]);
  return { ...Object.fromEntries(entries), 'state.json': jsonBytes(rest) };
}

async function restored(sizes: Sizes, context: FitContext): Promise<State | undefined> {
  const files = await context.checkpoints.load();
  if (files === undefined) return undefined;
  const rest = JSON.parse(Buffer.from(files['state.json']!).toString('utf8')) as Pick<
    State,
    'phase' | 'epoch' | 'step' | 'best'
  >;
  const state: State = { ...started(rest.phase, sizes, context.random), ...rest };
  const read = (file: string, into: Float32Array): void => into.set(new Float32Array(files[file]!.slice().buffer));
  for (const name of Object.keys(state.parameters)) {
    read(`${name}.f32`, state.parameters[name]!);
    read(`${name}-mean.f32`, state.moments[name]!.mean);
    read(`${name}-square.f32`, state.moments[name]!.square);
    read(`${name}-best.f32`, state.bestParameters[name]!);
  }
  return state;
}

interface Epoch {
  readonly set: TrainingSet;
  readonly network: Network;
  readonly settings: TrainingSettings;
  readonly context: FitContext;
  readonly state: State;
  readonly sampler: Sampler;
  readonly positions: Int32Array;
  readonly random: Random;
}

/** Steps between looks at the event loop and at cancelling. */
const STEPS_PER_TURN = 16;

/** Returns the mean loss. */
async function runEpoch({
  set,
  network,
  settings,
  context,
  state,
  sampler,
  positions,
  random,
}: Epoch): Promise<number> {
  const order = shuffled(positions, random.stream('order'));
  const [negatives, drops] = [random.stream('negatives'), random.stream('dropout')];
  const perPair = 1 + settings.negatives;
  const pairs = Math.max(1, Math.floor(settings.batch / perPair));
  let [losses, steps] = [0, 0];
  for (let start = 0; start < order.length; start += pairs) {
    const chosen = order.subarray(start, start + pairs);
    const batch = batchOf(chosen.length * perPair);
    chosen.forEach((position, c) => {
      const user = sampler.userOf(position);
      for (let n = 0; n < perPair; n++) {
        const row = c * perPair + n;
        batch.users[row] = user;
        batch.items[row] = n === 0 ? set.items[position]! : sampler.notMet(user, negatives);
        batch.labels[row] = n === 0 ? 1 : 0;
        writeContext(batch.context, row * CONTEXT_FLOATS, set.hasTimes ? set.times[position] : undefined);
      }
    });
    network.forward(batch, { share: settings.dropout, random: drops });
    losses += network.backward(batch, settings);
    steps++;
    update(network, state, settings.learningRate);
    if (steps % STEPS_PER_TURN !== 0) continue;
    await context.clock.nextTurn();
    throwIfCancelled(context);
  }
  return losses / Math.max(1, steps);
}

function update(network: Network, state: State, learningRate: number): void {
  const options = { learningRate, step: ++state.step };
  for (const [name, gradients] of Object.entries(network.gradients)) {
    adamDense(state.parameters[name]!, gradients, state.moments[name]!, options);
  }
  adamRows(state.parameters['users']!, network.userRows, state.moments['users']!, options);
  adamRows(state.parameters['items']!, network.itemRows, state.moments['items']!, options);
}

function batchOf(size: number): Batch & { users: Int32Array; items: Int32Array; labels: Float32Array } {
  return {
    size,
    users: new Int32Array(size),
    items: new Int32Array(size),
    labels: new Float32Array(size),
    context: new Float32Array(size * CONTEXT_FLOATS),
  };
}

/** Held-out pairs that early stopping looks at, each among as many sampled items less one. */
const HELD_MAX = 2000;
const CANDIDATES = 100;
const TOP = 10;

/** Mean NDCG@10 of held-out items among sampled ones, the same in every epoch. */
function validate(network: Network, { held }: Split, sampler: Sampler, random: Random): number {
  const stream = random.stream('candidates');
  const batch = batchOf(CANDIDATES);
  let sum = 0;
  for (const { user, item, time } of held) {
    for (let c = 0; c < CANDIDATES; c++) {
      batch.users[c] = user;
      batch.items[c] = c === 0 ? item : sampler.notMet(user, stream);
      writeContext(batch.context, c * CONTEXT_FLOATS, time);
    }
    const logits = network.forward(batch);
    let ahead = 0;
    for (let c = 1; c < CANDIDATES; c++) if (logits[c]! >= logits[0]!) ahead++;
    if (ahead < TOP) sum += 1 / Math.log2(ahead + 2);
  }
  return sum / Math.max(1, held.length);
}

function splitOf(set: TrainingSet, settings: TrainingSettings, random: Random): Split {
  const stream = random.stream('split');
  const timeOf = (position: number): number | undefined => (set.hasTimes ? set.times[position] : undefined);
  if (set.validation !== undefined && set.validation.users.length > 0) {
    const { users, items } = set.validation;
    const pairs = Array.from(users, (user, p) => ({
      user,
      item: items[p]!,
      time: timeOf(set.rowStart[user + 1]! - 1),
    }));
    return { learnt: allOf(set), held: stream.shuffle(pairs).slice(0, HELD_MAX), isOwn: false };
  }
  const order = shuffled(allOf(set), stream);
  const count = Math.min(order.length - 1, Math.max(1, Math.round(settings.validation * order.length)));
  const sampler = new Sampler(set);
  const held = Array.from(order.subarray(0, Math.min(HELD_MAX, count)), (position) => ({
    user: sampler.userOf(position),
    item: set.items[position]!,
    time: timeOf(position),
  }));
  return { learnt: order.slice(count).sort(), held, isOwn: true };
}

function allOf(set: TrainingSet): Int32Array {
  return Int32Array.from(set.items.keys());
}

function shuffled(positions: Int32Array, random: Random): Int32Array {
  const order = positions.slice();
  for (let i = order.length - 1; i > 0; i--) {
    const k = random.int(i + 1);
    const held = order[i]!;
    order[i] = order[k]!;
    order[k] = held;
  }
  return order;
}

/** Whose an interaction is, and items a person has not met. */
class Sampler {
  private readonly owners: Int32Array;
  private readonly met: readonly ReadonlySet<number>[];
  private readonly itemCount: number;

  constructor({ rowStart, items, itemIds }: TrainingSet) {
    this.owners = new Int32Array(items.length);
    this.itemCount = itemIds.length;
    this.met = Array.from({ length: rowStart.length - 1 }, (_, user) => {
      this.owners.fill(user, rowStart[user], rowStart[user + 1]);
      return new Set(items.subarray(rowStart[user], rowStart[user + 1]));
    });
  }

  userOf(position: number): number {
    return this.owners[position]!;
  }

  /** Uniform; after a few tries whatever comes, for people who met nearly everything. */
  notMet(user: number, random: Random): number {
    const met = this.met[user]!;
    let item = random.int(this.itemCount);
    for (let tries = 0; tries < TRIES_MAX && met.has(item); tries++) item = random.int(this.itemCount);
    return item;
  }
}

const TRIES_MAX = 50;
