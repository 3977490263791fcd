/**
 * From an evaluation file to training set and questions: paths resolved, files read, the protocol applied.
 *
 * Data paths are relative to FRESHET_DATA (by default the folder `shared/data` beside the project), so that a file names
 * no machine's folders.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { EngineError } from '../../schemas/errors.js';
import type { Random } from '../../streams/random.js';
import { parseYaml } from '../../streams/yaml.js';
import type { TrainingSet } from '../../serving/models/training-set.js';
import { readMapping } from '../import/mapping.js';
import { readItemContent, readUserTraits } from '../train/item-content.js';
import type { ContentFile } from '../train/item-content.js';
import type { InteractionTable } from '../train/interaction-table.js';
import { readInteractions } from '../train/read-interactions.js';
import { mappingPath } from '../commands/command.js';
import { evaluationSchema } from './evaluation-schema.js';
import type { Evaluation } from './evaluation-schema.js';
import { casesOfGiven, readPrefixTargets } from './given-split.js';
import type { PrefixTargets } from './given-split.js';
import { splitByProtocol } from './protocols.js';
import type { Split } from './protocols.js';

export const DEFAULT_DATA_FOLDER = '../shared/data';

/** Checks a raw evaluation; throws EVALUATION_INVALID with every fault. */
export function parseEvaluation(raw: unknown, source: string): Evaluation {
  const parsed = evaluationSchema.safeParse(raw);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'file'}: ${issue.message}`);
  throw new EngineError('EVALUATION_INVALID', `${source} has ${faults.length} fault(s): ${faults.join('; ')}.`);
}

/** The file as plain values, for overrides to be laid over before it is checked. */
export function readEvaluationFile(path: string): unknown {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new EngineError('EVALUATION_INVALID', `Cannot read evaluation file '${path}'.`, { cause });
  }
  return parseYaml(text, path, 'EVALUATION_INVALID');
}

export interface DataPlaces {
  /** Folder that data paths are relative to. */
  readonly dataFolder: string;
  /** Folder that mapping paths of the evaluation may be relative to. */
  readonly home: string;
}

export function placesOf(evaluationPath: string | undefined, environment: NodeJS.ProcessEnv): DataPlaces {
  return {
    dataFolder: resolve(environment['FRESHET_DATA'] ?? DEFAULT_DATA_FOLDER),
    home: evaluationPath === undefined ? process.cwd() : dirname(resolve(evaluationPath)),
  };
}

export interface LoadedData {
  readonly split: Split;
  /** What was read, for the report. */
  readonly sizes: {
    readonly users: number;
    readonly items: number;
    readonly interactions: number;
    readonly rejected: number;
  };
}

export async function loadEvaluationData(
  evaluation: Evaluation,
  places: DataPlaces,
  random: Random,
): Promise<LoadedData> {
  const { data, protocol } = evaluation;
  const rows = data.rows ?? (protocol.name === 'session-prefixes' ? 'sessions' : 'users');
  const mapping = readMapping(mappingOf(data.mapping, places));
  const options = { rows, limit: data.limit } as const;
  const read = await readInteractions(dataPath(data.file, places), mapping, options);
  const { table } = read;
  const test = await readTest(evaluation, places, table);
  const content = {
    itemContent: await readItemContent(
      data.items.map((file) => contentFile(file, places)),
      data.images === undefined ? undefined : dataPath(data.images, places),
      table.items,
    ),
    userTraits: await readUserTraits(
      data.users.map((file) => contentFile(file, places)),
      table.users,
    ),
  };
  // Only now: the test file and the contents may have named further items and users.
  const all: TrainingSet = { ...table.trainingSet(), ...content };
  const sizes = {
    users: all.userIds.length,
    items: all.itemIds.length,
    interactions: all.items.length,
    rejected: read.rejected,
  };
  if (test === undefined) return { split: splitByProtocol(all, protocol, random), sizes };
  const cases = 'casesFor' in test ? test.casesFor(all, protocol) : casesOfGiven(all, test.trainingSet(), protocol);
  return { split: { train: all, cases }, sizes };
}

async function readTest(
  { data, protocol }: Evaluation,
  places: DataPlaces,
  table: InteractionTable,
): Promise<InteractionTable | PrefixTargets | undefined> {
  if (data.test === undefined) return undefined;
  const path = dataPath(data.test, places);
  if (data.testFormat === 'prefix-target') return readPrefixTargets(path, table.items);
  const mapping = readMapping(mappingOf(data.mapping, places));
  const isSessions = protocol.name === 'session-prefixes';
  // Sessions of a test file are others than those of the training file, whatever their names.
  const shared = isSessions ? { items: table.items } : { items: table.items, users: table.users };
  const read = await readInteractions(path, mapping, { rows: isSessions ? 'sessions' : 'users', ...shared });
  return read.table;
}

function contentFile({ file, mapping }: { file: string; mapping: string }, places: DataPlaces): ContentFile {
  return { path: dataPath(file, places), mapping: mappingOf(mapping, places) };
}

function mappingOf(name: string, { home }: DataPlaces): string {
  const beside = isAbsolute(name) ? name : join(home, name);
  return existsSync(beside) ? beside : mappingPath(name);
}

function dataPath(file: string, { dataFolder }: DataPlaces): string {
  const path = resolve(dataFolder, file);
  if (existsSync(path)) return path;
  throw new EngineError(
    'FILE_UNREADABLE',
    `There is no '${file}' in the data folder '${dataFolder}'. Set FRESHET_DATA to the folder that holds it.`,
  );
}
