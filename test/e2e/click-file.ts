import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryDirectory } from './freshet.js';

const MAPPING = `name: clicks
format: csv
interaction:
  userId: user
  sessionId: session
  itemId: item
  ts: { column: at, unit: ms }
  type: { constant: click }
`;

/** Writes clicks, each as `user,session,item,at`, and returns the arguments that import them. */
export function importOfClicks(rows: readonly string[]): string[] {
  const directory = temporaryDirectory();
  const [file, mapping] = [join(directory, 'clicks.csv'), join(directory, 'clicks.yaml')];
  writeFileSync(file, ['user,session,item,at', ...rows].join('\n'));
  writeFileSync(mapping, MAPPING);
  return ['import', file, '--mapping', mapping];
}
