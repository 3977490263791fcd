/** `freshet import FILE --mapping M`: appends a file and lets both stages process it. */
import { resolve } from 'node:path';
import { executeOnEngine } from '../engine/admin.js';
import type { EngineCommand } from '../engine/admin.js';
import type { Engine } from '../engine/engine.js';
import { importFile } from '../import/importer.js';
import type { ImportOptions, ImportResult, ImportTarget } from '../import/importer.js';
import { mappingPath } from './command.js';
import type { CommandContext, DataOptions } from './command.js';

export interface ImportCommandOptions extends DataOptions {
  readonly mapping: string;
  readonly limit: number;
}

interface ImportArguments {
  readonly file: string;
  readonly mapping: string;
  readonly limit: number;
}

export const importCommand: EngineCommand<ImportArguments> = {
  name: 'import',
  createsDirectory: true,
  stages: 'running',
  async run(engine, output, { file, mapping, limit }, clock) {
    const start = clock.monotonic();
    const result = await importInto(engine, { file, mapping, limit }, (progress) => {
      output.progress(() => `${progress.rows} rows read, ${progress.records} records appended`);
    });
    await engine.drain();
    const seconds = (clock.monotonic() - start) / 1_000;
    for (const reason of result.reasons) output.say(`rejected: ${reason}`);
    const { rows, records, skipped, rejected } = result;
    output.result({ rows, records, skipped, rejected, seconds, eventsPerSecond: (rows - skipped) / seconds });
  },
};

export async function runImport(context: CommandContext, file: string, options: ImportCommandOptions): Promise<void> {
  // Infinity does not survive JSON; no file has more rows than this.
  const limit = Math.min(options.limit, Number.MAX_SAFE_INTEGER);
  const args = { file: resolve(file), mapping: resolve(mappingPath(options.mapping)), limit };
  await executeOnEngine(context, options, importCommand, args);
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
  options: Omit<ImportOptions, 'onProgress'>,
  onProgress: (result: ImportResult) => void,
): Promise<ImportResult> {
  return importFile(importTargetOf(engine), {
    ...options,
    onProgress: async (result) => {
      onProgress(result);
      if ((await engine.worker.lag()) > LAG_RECORDS_MAX) await engine.drain();
    },
  });
}
