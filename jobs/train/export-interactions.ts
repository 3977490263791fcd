/**
 * The warehouse's interactions as a file with its mapping: how a training process beside a running engine gets its data,
 * since the embedded warehouse belongs to one process.
 *
 * Written aside and renamed when it is whole. Rows are streamed at the disk's pace; nothing is held.
 */
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { INTERACTION_TYPES } from '../../schemas/records.js';
import type { Warehouse } from '../../streams/warehouse/warehouse.js';
import { INTERACTIONS_SQL, STATEMENT_MS_MAX } from './warehouse-source.js';

export interface ExportedInteractions {
  readonly file: string;
  readonly mapping: string;
  readonly rows: number;
}

const MAPPING = `name: warehouse
format: jsonl
interaction:
  userId: user
  itemId: itemId
  ts: { column: timeMs, unit: ms }
  type:
    column: type
    values: { ${INTERACTION_TYPES.map((type) => `${type}: ${type}`).join(', ')} }
  value: value
`;

export async function exportInteractions(
  warehouse: Pick<Warehouse, 'queryStream'>,
  folder: string,
  signal: AbortSignal,
): Promise<ExportedInteractions> {
  await mkdir(folder, { recursive: true });
  const [file, mapping] = [join(folder, 'interactions.jsonl'), join(folder, 'interactions.yaml')];
  await writeFile(mapping, MAPPING);
  const stream = createWriteStream(`${file}.next`);
  let rows = 0;
  try {
    const limits = { timeoutMs: STATEMENT_MS_MAX, signal };
    for await (const row of warehouse.queryStream(INTERACTIONS_SQL, { shard: 0, shards: 1 }, limits)) {
      rows++;
      if (!stream.write(`${JSON.stringify(row)}\n`)) await once(stream, 'drain');
    }
  } finally {
    stream.end();
    await once(stream, 'close');
  }
  await rename(`${file}.next`, file);
  return { file, mapping, rows };
}
