/**
 * How long an epoch of ials takes, and beside it, on the same rows and with as many threads, an epoch of the Python package
 * `implicit` (conjugate gradients, as many steps), where a Python that has it is given.
 *
 * The two run one after the other in turns, so that both meet the machine as it is. An epoch is both half-sweeps; the first
 * is left out of both, for it compiles and allocates.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { EngineError } from '../../schemas/errors.js';
import { requireAlgorithm } from '../../serving/models/algorithms.js';
import { bytesOf } from '../../serving/models/model-files.js';
import type { TrainingSet } from '../../serving/models/training-set.js';
import { seededRandom } from '../../streams/random.js';
import type { CommandContext } from '../commands/command.js';
import { mappingPath } from '../commands/command.js';
import { readInteractions } from '../train/read-interactions.js';
import { readMapping } from '../import/mapping.js';
import { runFit } from '../train/fit-run.js';
import { medianOf } from './load-report.js';

export interface IalsBenchOptions {
  readonly file: string;
  readonly mapping: string;
  readonly factors: number;
  readonly epochs: number;
  readonly threads: number;
  readonly turns: number;
  /** A Python interpreter that can import `implicit`. */
  readonly peer?: string | undefined;
}

type Epoch = Readonly<Record<'seconds', number>>;

const STEPS = 3;
const MEMORY_BYTES_MAX = 4 * 2 ** 30;
const PEER_SCRIPT = fileURLToPath(new URL('./implicit-epoch.py', import.meta.url));

export async function runIalsBench(context: CommandContext, options: IalsBenchOptions): Promise<void> {
  const { terminal } = context;
  const { file, mapping, factors, epochs, threads, turns, peer } = options;
  const { table } = await readInteractions(file, readMapping(mappingPath(mapping)), {
    rows: 'users',
    limit: undefined,
  });
  const set = table.trainingSet();
  const own: Epoch[] = [];
  const others: Epoch[] = [];
  for (let turn = 1; turn <= turns; turn++) {
    terminal.say(`turn ${turn} of ${turns}`);
    own.push(...(await ownEpochs(context, set, options)));
    if (peer !== undefined) others.push(...(await peerEpochs(set, { ...options, peer })));
  }
  const { seconds: epochSeconds } = medianOf(own);
  const told = { users: set.userIds.length, items: set.itemIds.length, interactions: set.items.length };
  const result = { bench: 'ials', ...told, factors, epochs, threads, epochSeconds };
  if (peer === undefined) return terminal.result(result);
  const { seconds: peerEpochSeconds } = medianOf(others);
  terminal.result({ ...result, peerEpochSeconds, ratio: epochSeconds / peerEpochSeconds });
}

/** Each epoch but the first. */
async function ownEpochs(context: CommandContext, set: TrainingSet, options: IalsBenchOptions): Promise<Epoch[]> {
  const { factors, epochs, threads } = options;
  const { clock, logger } = context;
  const algorithm = await requireAlgorithm('ials');
  const fit = await runFit(algorithm, { factors, epochs, steps: STEPS }, set, {
    ...{ clock, logger, threads, random: seededRandom(1), memoryBytesMax: MEMORY_BYTES_MAX },
    signal: new AbortController().signal,
  });
  await fit.model.close();
  return epochsBetween(fit.curve.map(({ elapsedMs }) => elapsedMs / 1_000));
}

async function peerEpochs(set: TrainingSet, options: IalsBenchOptions & { readonly peer: string }): Promise<Epoch[]> {
  const folder = mkdtempSync(join(tmpdir(), 'freshet-ials-'));
  try {
    writeFileSync(join(folder, 'starts.i32'), bytesOf(set.rowStart));
    writeFileSync(join(folder, 'items.i32'), bytesOf(set.items));
    const { factors, epochs, threads } = options;
    const counts = [set.itemIds.length, factors, epochs, threads, STEPS].map(String);
    const { stdout } = await promisify(execFile)(options.peer, [PEER_SCRIPT, folder, ...counts]);
    return epochsBetween(JSON.parse(stdout) as number[]);
  } catch (cause) {
    throw new EngineError('USAGE_INVALID', `'${options.peer}' could not run ${PEER_SCRIPT}: is 'implicit' installed?`, {
      cause,
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function epochsBetween(ends: readonly number[]): Epoch[] {
  return ends.slice(1).map((end, i) => ({ seconds: end - ends[i]! }));
}
