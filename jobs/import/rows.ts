/**
 * Rows of a file as text by column: CSV, TSV, JSON lines and whitespace-separated sequences, plain or gzipped.
 *
 * Streams with back-pressure: memory is a few thousand rows whatever the file's size. A row that cannot be read is
 * handed on as a fault with its number, so that numbering, and with it resuming, never depends on what was wrong.
 * This file alone imports csv-parse.
 */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { parse } from 'csv-parse';
import { EngineError } from '../../schemas/errors.js';
import { columnsOf } from './mapping.js';
import type { Mapping } from './mapping.js';

export interface Row {
  /** Number of the row in the file, from 1, header not counted. */
  readonly number: number;
  /** Text by column index; see `columns`. Empty text is an absent value. */
  readonly values: readonly string[];
  readonly fault?: string;
}

export interface RowSource {
  readonly columns: readonly string[];
  readonly rows: AsyncIterable<Row>;
}

/** A line longer than this is not a row of anything. */
const LINE_CHARACTERS_MAX = 1 << 20;

/** Opens a file under a mapping. Throws MAPPING_INVALID when a mapped column is not in it. */
export async function openRows(path: string, mapping: Mapping): Promise<RowSource> {
  const stream = openFile(path);
  const source = await openFormat(stream, mapping);
  const missing = columnsOf(mapping).filter((name) => !source.columns.includes(name));
  if (missing.length === 0) return source;
  stream.destroy();
  throw new EngineError(
    'MAPPING_INVALID',
    `File '${path}' has no column ${missing.map((name) => `'${name}'`).join(', ')}; it has ${source.columns.join(', ')}.`,
  );
}

function openFile(path: string): Readable {
  const file = createReadStream(path);
  if (!path.endsWith('.gz')) return file;
  const plain = createGunzip();
  file.on('error', (error) => plain.destroy(error));
  return file.pipe(plain);
}

async function openFormat(stream: Readable, mapping: Mapping): Promise<RowSource> {
  switch (mapping.format) {
    case 'csv':
      return openDelimited(stream, mapping, ',');
    case 'tsv':
      return openDelimited(stream, mapping, '\t');
    case 'jsonl':
      return { columns: columnsOf(mapping), rows: readJsonLines(stream, columnsOf(mapping)) };
    case 'sequences':
      return { columns: SEQUENCE_COLUMNS, rows: readSequences(stream, mapping.userFirst) };
    case 'json':
      return { columns: JSON_COLUMNS, rows: readJsonObject(stream) };
  }
}

async function openDelimited(stream: Readable, mapping: Mapping, delimiter: string): Promise<RowSource> {
  const parser = parse({
    delimiter,
    bom: true,
    relax_column_count: true,
    relax_quotes: true,
    skip_empty_lines: true,
    max_record_size: LINE_CHARACTERS_MAX,
    ...(delimiter === '\t' ? { quote: null } : {}),
  });
  stream.on('error', (error) => parser.destroy(error));
  const records = stream.pipe(parser)[Symbol.asyncIterator]() as AsyncIterator<string[]>;
  if (mapping.columns !== undefined) return { columns: mapping.columns, rows: numbered(records, mapping.columns) };
  const header = await records.next();
  if (header.done === true) throw new EngineError('MAPPING_INVALID', 'The file is empty; expected a header line.');
  return { columns: header.value, rows: numbered(records, header.value) };
}

async function* numbered(records: AsyncIterator<string[]>, columns: readonly string[]): AsyncIterable<Row> {
  for (let number = 1; ; number++) {
    const next = await records.next();
    if (next.done === true) return;
    const { value } = next;
    if (value.length === columns.length) yield { number, values: value };
    else yield { number, values: value, fault: `has ${value.length} columns, expected ${columns.length}` };
  }
}

async function* readJsonLines(stream: Readable, columns: readonly string[]): AsyncIterable<Row> {
  let number = 0;
  for await (const line of createInterface({ input: stream, crlfDelay: Infinity })) {
    if (line.trim() === '') continue;
    number++;
    yield parseJsonLine(line, number, columns);
  }
}

function parseJsonLine(line: string, number: number, columns: readonly string[]): Row {
  if (line.length > LINE_CHARACTERS_MAX) return { number, values: [], fault: `has ${line.length} characters` };
  try {
    const parsed = JSON.parse(line) as unknown;
    if (typeof parsed !== 'object' || parsed === null) return { number, values: [], fault: 'is not a JSON object' };
    return { number, values: columns.map((path) => toText(valueAt(parsed, path))) };
  } catch {
    return { number, values: [], fault: `is not JSON: ${line.slice(0, 60)}` };
  }
}

/** `a.b` reads a nested field; a field whose own name has the dot wins. */
function valueAt(object: object, path: string): unknown {
  if (path in object) return (object as Record<string, unknown>)[path];
  let value: unknown = object;
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}

function toText(value: unknown): string {
  if (value === undefined || value === null) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

const JSON_COLUMNS = ['key', 'value'];

/** One object in the whole file is read at once: what describes items fits into memory, or is JSON lines. */
const JSON_BYTES_MAX = 256 * 2 ** 20;

async function* readJsonObject(stream: Readable): AsyncIterable<Row> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > JSON_BYTES_MAX) {
      throw new EngineError('FILE_UNREADABLE', `A JSON object of more than ${JSON_BYTES_MAX} bytes; use JSON lines.`);
    }
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch (cause) {
    throw new EngineError('FILE_UNREADABLE', `The file is not JSON: ${(cause as Error).message}.`, { cause });
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new EngineError('FILE_UNREADABLE', 'The file is JSON, but not one object.');
  }
  let number = 0;
  for (const [key, value] of Object.entries(parsed)) yield { number: ++number, values: [key, toText(value)] };
}

const SEQUENCE_COLUMNS = ['user', 'item', 'position'];

async function* readSequences(stream: Readable, isUserFirst: boolean): AsyncIterable<Row> {
  let number = 0;
  let lineNumber = 0;
  for await (const line of createInterface({ input: stream, crlfDelay: Infinity })) {
    lineNumber++;
    const tokens = line.split(/\s+/).filter((token) => token !== '');
    const user = isUserFirst ? tokens.shift() : String(lineNumber);
    if (user === undefined) continue;
    for (let position = 0; position < tokens.length; position++) {
      yield { number: ++number, values: [user, tokens[position]!, String(position)] };
    }
  }
}
