/** Trials of settings as shards: the training set is sent once, each trial is its settings. */
import { EngineError } from '../../schemas/errors.js';
import { jsonBytes } from '../../serving/models/model-files.js';
import type { ItemContent, TrainingSet, UserTraits, ValidationPairs } from '../../serving/models/training-set.js';
import { runTrial } from '../train/trial.js';
import type { Trial, TrialContext, TrialResult } from '../train/trial.js';
import { doublesOf, floatsOf, intsOf, jsonOf, packParts, unpackParts } from './packed-parts.js';
import type { Parts } from './packed-parts.js';
import type { WorkPool } from './work-pool.js';

/** As `runTrial` for each, in their order. */
export async function shareTrials(
  pool: WorkPool,
  set: TrainingSet,
  trials: readonly Trial[],
  { signal, onDone }: { readonly signal: AbortSignal; readonly onDone?: ((done: number) => void) | undefined },
): Promise<TrialResult[]> {
  const sent = await pool.share(packTrainingSet(set));
  try {
    const shards = trials.map((trial) => ({ kind: 'trial' as const, values: trial, inputs: [sent] }));
    const answers = await pool.run(shards, signal, onDone);
    return answers.map((answer) => jsonOf(answer) as TrialResult);
  } finally {
    await pool.forget(sent);
  }
}

/** At a worker. */
export async function workTrial(
  values: object,
  [sent]: readonly Uint8Array[],
  context: TrialContext,
): Promise<Uint8Array> {
  return jsonBytes(await runTrial(unpackTrainingSet(unpackParts(sent!)), values as Trial, context));
}

interface Flags {
  readonly hasTimes: boolean;
  readonly hasWeights: boolean;
  readonly isSessions: boolean;
  readonly userIds: readonly string[];
  readonly itemIds: readonly string[];
  readonly userTraits?: UserTraits | undefined;
  readonly content?: Omit<ItemContent, 'numbers' | 'image'> | undefined;
}

const NUMBERS = 'number of ';

/** Throws USAGE_INVALID for pictures, which are files of this machine. */
export function packTrainingSet(set: TrainingSet): Uint8Array {
  const { hasTimes, hasWeights, isSessions, userIds, itemIds, userTraits, itemContent, validation } = set;
  const { numbers = {}, image, ...content } = itemContent ?? {};
  if (image !== undefined) {
    throw new EngineError('USAGE_INVALID', 'Pictures are not sent to workers: leave out --images, or --workers.');
  }
  const flags = { hasTimes, hasWeights, isSessions, userIds, itemIds, userTraits };
  return packParts({
    'flags.json': jsonBytes(itemContent === undefined ? flags : { ...flags, content }),
    rowStart: set.rowStart,
    items: set.items,
    times: set.times,
    weights: set.weights,
    types: set.types,
    ...(validation === undefined ? {} : { validUsers: validation.users, validItems: validation.items }),
    ...Object.fromEntries(Object.entries(numbers).map(([name, values]) => [`${NUMBERS}${name}`, values])),
  });
}

export function unpackTrainingSet(parts: Parts): TrainingSet {
  const { content, ...flags } = jsonOf(parts['flags.json']!) as Flags;
  const numbers = Object.entries(parts)
    .filter(([name]) => name.startsWith(NUMBERS))
    .map(([name, bytes]) => [name.slice(NUMBERS.length), doublesOf(bytes)] as const);
  const itemContent = content === undefined ? undefined : { ...content, numbers: Object.fromEntries(numbers) };
  return {
    ...flags,
    rowStart: intsOf(parts['rowStart']!),
    items: intsOf(parts['items']!),
    times: doublesOf(parts['times']!),
    weights: floatsOf(parts['weights']!),
    types: parts['types']!,
    itemContent: itemContent,
    validation: validationOf(parts),
  };
}

function validationOf({ validUsers, validItems }: Parts): ValidationPairs | undefined {
  if (validUsers === undefined || validItems === undefined) return undefined;
  return { users: intsOf(validUsers), items: intsOf(validItems) };
}
