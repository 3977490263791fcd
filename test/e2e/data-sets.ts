/**
 * Public data sets beside the checkout (`../shared/data`), read here by plain means: what the engine makes of a file is
 * compared with what these few lines make of it.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { ROOT } from './freshet.js';

interface Skippable {
  skip(reason: string): never;
}

export const GLOBO = 'globo/clicks-first-7-days.csv.gz';
export const DESKDROP = 'deskdrop/users_interactions.csv.gz';
export const REES46 = 'rees46/events.csv.gz';

export function dataSetPath(name: string): string | undefined {
  const path = join(ROOT, '..', 'shared', 'data', name);
  return existsSync(path) ? path : undefined;
}

/** The path of a data set's file; without it the test is skipped and says why. */
export function requireDataSet(name: string, context: Skippable): string {
  return dataSetPath(name) ?? context.skip(`../shared/data/${name} is not there`);
}

export function readLines(path: string, limit = Infinity): string[] {
  const bytes = readFileSync(path);
  const lines = (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8').trimEnd().split('\n');
  return limit === Infinity ? lines : lines.slice(0, limit);
}

export type Columns = ReadonlyMap<string, string>;

/** Rows of a CSV file without line breaks inside of quotes, by column name. */
export function readCsv(path: string, limit = Infinity): Columns[] {
  const [header, ...lines] = readLines(path, limit + 1);
  const names = splitCsv(header!);
  return lines.map((line) => new Map(splitCsv(line).map((value, i) => [names[i]!, value])));
}

function splitCsv(line: string): string[] {
  if (!line.includes('"')) return line.split(',');
  const values: string[] = [];
  for (const match of line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)) {
    values.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '');
  }
  return values;
}

/** How many rows there are under each key. */
export function countBy<T>(
  rows: Iterable<T>,
  keyOf: (row: T) => string,
  add: (row: T) => number = () => 1,
): Map<string, number> {
  const counts = new Map<string, number>();
  for (const row of rows) counts.set(keyOf(row), (counts.get(keyOf(row)) ?? 0) + add(row));
  return counts;
}
