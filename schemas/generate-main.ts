/**
 * Writes the generated files. Run from the repository root after any change in schemas/avro:
 *
 *   esbuild schemas/generate-main.ts --bundle --packages=external --platform=node --format=esm | node --input-type=module -
 *
 * With the word `release` behind it, the schemas in force are also put into schemas/history: do that once a release, and
 * from then on every change is held against what that release reads and writes.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

import { historyFileName, renderRecords, renderSchemas, type AvroRecord } from './generate.js';

const readFolder = (folder: string): AvroRecord[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.avsc'))
    .sort()
    .map((name) => JSON.parse(readFileSync(`${folder}/${name}`, 'utf8')) as AvroRecord);

const schemas = readFolder('schemas/avro');
if (process.argv.includes('release')) {
  for (const schema of schemas) {
    writeFileSync(`schemas/history/${historyFileName(schema)}`, `${JSON.stringify(schema)}\n`);
  }
}
writeFileSync('schemas/records.ts', renderRecords(schemas));
writeFileSync('schemas/avro-schemas.ts', renderSchemas(schemas, readFolder('schemas/history')));
