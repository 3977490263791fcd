/** `freshet import FILE --mapping M`: appends a file and lets both stages process it. */
import { importFile } from '../import/importer.js';
import type { ImportOptions, ImportResult, ImportTarget } from '../import/importer.js';
import type { Engine } from '../engine/engine.js';
import { mappingPath, openForJob } from './command.js';
import type { CommandContext, DataOptions } from './command.js';

export interface ImportCommandOptions extends DataOptions {
  readonly mapping: string;
  readonly limit: number;
}

export async function runImport(context: CommandContext, file: string, options: ImportCommandOptions): Promise<void> {
  const { terminal, clock } = context;
  const engine = await openForJob(context, options);
  try {
    const start = clock.monotonic();
    await engine.start();
    const result = await importInto(engine, file, options, (progress) => {
      terminal.progress(() => `${progress.rows} rows read, ${progress.records} records appended`);
    });
    await engine.drain();
    const seconds = (clock.monotonic() - start) / 1_000;
    for (const reason of result.reasons) terminal.say(`rejected: ${reason}`);
    const { rows, records, skipped, rejected } = result;
    terminal.result({ rows, records, skipped, rejected, seconds, eventsPerSecond: (rows - skipped) / seconds });
  } finally {
    await engine.close();
  }
}

/** Records appended before the stages are given time to catch up: bounds how far behind they can fall. */
const LAG_RECORDS_MAX = 50_000;

/** Where the records of imported files go. */
export function importTargetOf(engine: Engine): ImportTarget {
  return {
    log: engine.storage.log,
    store: engine.storage.store,
    userEvents: engine.topic('userEvents'),
    itemEvents: engine.topic('itemEvents'),
    deadLetters: engine.topic('deadLetters'),
  };
}

export async function importInto(
  engine: Engine,
  file: string,
  options: Pick<ImportCommandOptions, 'mapping' | 'limit'> & Pick<ImportOptions, 'beforeRow' | 'blockRows'>,
  onProgress: (result: ImportResult) => void,
): Promise<ImportResult> {
  return importFile(importTargetOf(engine), {
    ...options,
    file,
    mapping: mappingPath(options.mapping),
    onProgress: async (result) => {
      onProgress(result);
      if ((await engine.worker.lag()) > LAG_RECORDS_MAX) await engine.drain();
    },
  });
}
