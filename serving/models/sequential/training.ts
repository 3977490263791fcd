/**
 * The training loop of all sequence models: epochs of steps, early stopping on NDCG@10, checkpoints.
 *
 * Everything an epoch draws comes from a stream named after it, and a checkpoint holds parameters, moments, the best
 * parameters so far and where the loop stands; a fit that was killed and resumed gives the same bytes.
 *
 * Invariant: on return the learner holds the parameters of the best validated epoch (the last one without validation).
 */
import type { Random } from '../../../streams/random.js';
import { throwIfCancelled } from '../fitting.js';
import type { FitContext, ModelArtefact, ModelFiles } from '../model.js';
import { jsonBytes, readJson } from '../model-files.js';
import type { TrainingSet } from '../training-set.js';
import type { HistoryScorer } from './scorer.js';
import { type HeldOut, validate } from './validation.js';

/** What is trained. The loop decides when; the learner what a step is. */
export interface Learner {
  /** Shuffles and cuts the data for an epoch; returns its number of steps. */
  beginEpoch(random: Random): number;
  /** Takes the epoch's step i; returns its mean loss. */
  takeStep(i: number): number;
  /** Parameters changed: what scoring prepared is made again. */
  refresh(): void;
  saveParameters(): ModelFiles;
  restoreParameters(artefact: ModelArtefact): void;
  /** Moments, and whatever else decides the next step. */
  saveOptimizer(): ModelFiles;
  restoreOptimizer(artefact: ModelArtefact, steps: number): void;
}

export interface TrainingJob {
  readonly learner: Learner;
  readonly scorer: HistoryScorer;
  readonly set: TrainingSet;
  readonly heldOut: HeldOut;
  readonly epochs: number;
  readonly stepsMax: number;
  readonly patience: number;
  readonly context: FitContext;
}

interface LoopState {
  epoch: number;
  steps: number;
  bestValue: number;
  bestEpoch: number;
  isDone: boolean;
}

/** Steps between two looks at whether to stop and whether the event loop waits. */
const STEPS_A_TURN = 4;
/** Steps between two reports within an epoch: a few seconds, so that the time left is known before the first is over. */
const STEPS_A_REPORT = 100;

export async function train(job: TrainingJob): Promise<void> {
  const { context, learner } = job;
  const state: LoopState = { epoch: 0, steps: 0, bestValue: -1, bestEpoch: 0, isDone: false };
  let best = restore(job, state, await context.checkpoints.load());
  while (!state.isDone) {
    throwIfCancelled(context);
    state.epoch++;
    const loss = await runEpoch(job, state);
    if (finishEpoch(job, state, loss)) best = learner.saveParameters();
    if (context.checkpoints.isDue()) await context.checkpoints.save(checkpointOf(learner, state, best));
  }
  if (best !== undefined) learner.restoreParameters(asArtefact(job.set, best));
  learner.refresh();
}

async function runEpoch(job: TrainingJob, state: LoopState): Promise<number> {
  const { learner, context, stepsMax, epochs } = job;
  const steps = learner.beginEpoch(context.random.stream(`epoch-${state.epoch}`));
  let loss = 0;
  let taken = 0;
  while (taken < steps && state.steps < stepsMax) {
    loss += learner.takeStep(taken++);
    state.steps++;
    if (taken % STEPS_A_REPORT === 0 && taken < steps) {
      context.progress({ epoch: state.epoch, epochs, fraction: (state.epoch - 1 + taken / steps) / epochs });
    }
    if (taken % STEPS_A_TURN !== 0) continue;
    await context.clock.nextTurn();
    throwIfCancelled(context);
  }
  return loss / taken;
}

/** Validates, decides whether to go on, tells how far it is; returns whether this was the best epoch so far. */
function finishEpoch(job: TrainingJob, state: LoopState, loss: number): boolean {
  const { context, scorer, heldOut, set, patience, epochs, stepsMax, learner } = job;
  let validation: { name: string; value: number } | undefined;
  if (heldOut.questions.length > 0) {
    learner.refresh();
    validation = { name: 'ndcg@10', value: validate(scorer, heldOut.questions, set.isSessions) };
  }
  const isBest = validation !== undefined && validation.value > state.bestValue;
  if (isBest) Object.assign(state, { bestValue: validation!.value, bestEpoch: state.epoch });
  const isStale = validation !== undefined && state.epoch - state.bestEpoch >= patience;
  state.isDone = isStale || state.epoch >= epochs || state.steps >= stepsMax;
  // Early stopping may come any time: the whole is only reached at the end.
  const fraction = state.isDone ? 1 : Math.min(0.999, state.epoch / epochs);
  context.progress({ epoch: state.epoch, epochs, fraction, loss, validation });
  return isBest;
}

function checkpointOf(learner: Learner, state: LoopState, best: ModelFiles | undefined): ModelFiles {
  const prefixed = (prefix: string, files: ModelFiles): ModelFiles =>
    Object.fromEntries(Object.entries(files).map(([name, bytes]) => [`${prefix}-${name}`, bytes]));
  return {
    'state.json': jsonBytes(state),
    ...prefixed('now', learner.saveParameters()),
    ...prefixed('optimizer', learner.saveOptimizer()),
    ...prefixed('best', best ?? {}),
  };
}

/** Returns the best parameters of the checkpoint, if there is one. */
function restore(
  { learner, set }: TrainingJob,
  state: LoopState,
  files: ModelFiles | undefined,
): ModelFiles | undefined {
  if (files === undefined) return undefined;
  const part = (prefix: string): ModelFiles =>
    Object.fromEntries(
      Object.entries(files)
        .filter(([name]) => name.startsWith(`${prefix}-`))
        .map(([name, bytes]) => [name.slice(prefix.length + 1), bytes]),
    );
  Object.assign(state, readJson(asArtefact(set, files), 'state.json'));
  learner.restoreParameters(asArtefact(set, part('now')));
  learner.restoreOptimizer(asArtefact(set, part('optimizer')), state.steps);
  const best = part('best');
  return Object.keys(best).length > 0 ? best : undefined;
}

function asArtefact(set: TrainingSet, files: ModelFiles): ModelArtefact {
  const sizes = { itemCount: set.itemIds.length, userCount: set.userIds.length };
  return { algorithm: 'checkpoint', spaceId: '', settings: {}, ...sizes, files };
}
