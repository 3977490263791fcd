/** What `fit` is given in tests: a fixed seed, a manual clock, checkpoints in memory, and a record of the progress said. */
import { ManualClock } from '../../../streams/clock.js';
import { silentLogger } from '../../../streams/logger.js';
import { seededRandom } from '../../../streams/random.js';
import type { Checkpoints, FitContext, FitProgress, ModelFiles } from '../../../serving/models/model.js';

/** Checkpoints that are always due and kept in memory. */
export class MemoryCheckpoints implements Checkpoints {
  last: ModelFiles | undefined;
  saves = 0;

  /** @param onSave called after each save; a test may abort the fit there, as a crash would. */
  constructor(private readonly onSave: (saves: number) => void = () => undefined) {}

  async load(): Promise<ModelFiles | undefined> {
    return this.last;
  }

  isDue(): boolean {
    return true;
  }

  async save(files: ModelFiles): Promise<void> {
    this.last = Object.fromEntries(Object.entries(files).map(([name, bytes]) => [name, bytes.slice()]));
    this.onSave(++this.saves);
  }
}

/** A context for one fit; what it reports is in `reports`. */
export function fitContext(
  overrides: Partial<FitContext> = {},
): FitContext & { readonly reports: FitProgress[]; readonly abort: AbortController } {
  const reports: FitProgress[] = [];
  const abort = new AbortController();
  return {
    random: seededRandom('fit'),
    clock: new ManualClock(),
    logger: silentLogger,
    signal: abort.signal,
    threads: 1,
    memoryBytesMax: 2 ** 30,
    checkpoints: new MemoryCheckpoints(),
    progress: (report) => void reports.push(report),
    ...overrides,
    reports,
    abort,
  };
}
