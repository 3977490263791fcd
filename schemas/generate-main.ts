/**
 * Writes the generated files. Run from the repository root after any change in schemas/avro:
 *
 *   esbuild schemas/generate-main.ts --bundle --platform=node --format=esm | node --input-type=module -
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

import { renderRecords, renderSchemas, type AvroRecord } from './generate.js';

const schemas = readdirSync('schemas/avro')
  .filter((name) => name.endsWith('.avsc'))
  .sort()
  .map((name) => JSON.parse(readFileSync(`schemas/avro/${name}`, 'utf8')) as AvroRecord);

writeFileSync('schemas/records.ts', renderRecords(schemas));
writeFileSync('schemas/avro-schemas.ts', renderSchemas(schemas));
