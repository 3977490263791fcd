/**
 * Compiles the field descriptions of a mapping into functions over rows: text, numbers, lists, times, event types.
 *
 * Columns are looked up once, when a mapping meets a file; a value that does not fit throws ROW_INVALID naming the row,
 * the value and what was expected.
 */
import { EngineError } from '../../schemas/errors.js';
import type { ContextDraft, InteractionType } from '../../schemas/records.js';
import type { ListField, Mapping, TextField, TimeField } from './mapping.js';
import type { Row } from './rows.js';

type TextReader = (row: Row) => string | null;

export class FieldReader {
  private readonly indexes: ReadonlyMap<string, number>;

  constructor(columns: readonly string[]) {
    this.indexes = new Map(columns.map((name, index) => [name, index]));
  }

  private at(column: string): (row: Row) => string {
    const index = this.indexes.get(column);
    if (index === undefined) throw new EngineError('MAPPING_INVALID', `There is no column '${column}'.`);
    return (row) => row.values[index] ?? '';
  }

  text(field: TextField): TextReader {
    if (typeof field === 'string') {
      const read = this.at(field);
      return (row) => read(row) || null;
    }
    const { constant, column, prefix = '' } = field;
    if (constant !== undefined) return () => constant;
    if (field.row === true) return (row) => `${prefix}${row.number}`;
    const read = this.at(column ?? '');
    return (row) => {
      const value = read(row);
      return value === '' ? null : prefix + value;
    };
  }

  optionalText(field: TextField | undefined): TextReader {
    return field === undefined ? () => null : this.text(field);
  }

  required(field: TextField, name: string): (row: Row) => string {
    const read = this.text(field);
    return (row) => {
      const value = read(row);
      if (value === null) throw rowError(row, `has no ${name}`);
      return value;
    };
  }

  optionalNumber(column: string | undefined): (row: Row) => number | null {
    if (column === undefined) return () => null;
    const read = this.at(column);
    return (row) => {
      const value = read(row);
      if (value === '') return null;
      const number = Number(value);
      if (Number.isFinite(number)) return number;
      throw rowError(row, `has '${value.slice(0, 60)}' in column '${column}', expected a number`);
    };
  }

  list(field: ListField | undefined): (row: Row) => string[] {
    if (field === undefined) return () => [];
    if (typeof field === 'string') {
      const read = this.at(field);
      return (row) => jsonList(read(row)) ?? (read(row) === '' ? [] : [read(row)]);
    }
    const read = this.at(field.column);
    return (row) => {
      const text = read(row);
      const entries = jsonList(text) ?? text.split(field.split).filter((entry) => entry !== '');
      return field.reverse ? entries.reverse() : entries;
    };
  }

  interactionType(field: NonNullable<Mapping['interaction']>['type']): (row: Row) => InteractionType {
    if ('constant' in field) return () => field.constant;
    const read = this.at(field.column);
    const types = new Map(Object.entries(field.values));
    return (row) => {
      const type = types.get(read(row));
      if (type !== undefined) return type;
      throw rowError(
        row,
        `has event type '${read(row).slice(0, 60)}', expected one of ${[...types.keys()].join(', ')}`,
      );
    };
  }

  time(field: TimeField): (row: Row) => number {
    if (field.column === undefined) {
      const start = Date.parse(field.start ?? '2020-01-01T00:00:00Z');
      return (row) => start + row.number * field.stepMs;
    }
    const read = this.at(field.column);
    return (row) => {
      const ms = toMilliseconds(read(row), field.unit);
      if (Number.isSafeInteger(ms)) return ms;
      throw rowError(row, `has time '${read(row).slice(0, 60)}', expected ${field.unit}`);
    };
  }

  context(mapping: NonNullable<Mapping['interaction']>['context']): ((row: Row) => ContextDraft) | undefined {
    if (mapping === undefined) return undefined;
    const names = ['device', 'os', 'country', 'region', 'referrer', 'language'] as const;
    const readers = names.map((name) => this.optionalText(mapping[name]));
    return (row) => ({
      device: readers[0]!(row),
      os: readers[1]!(row),
      country: readers[2]!(row),
      region: readers[3]!(row),
      referrer: readers[4]!(row),
      language: readers[5]!(row),
    });
  }
}

/** The entries of a list that JSON gave as a list; undefined for other text. */
function jsonList(text: string): string[] | undefined {
  if (!text.startsWith('[')) return undefined;
  try {
    const parsed = JSON.parse(text) as unknown;
    if (!Array.isArray(parsed)) return undefined;
    return parsed.map((entry) => (typeof entry === 'string' ? entry : JSON.stringify(entry)));
  } catch {
    return undefined;
  }
}

const MS_PER_UNIT = { ms: 1, s: 1_000, us: 1 / 1_000 };

function toMilliseconds(text: string, unit: TimeField['unit']): number {
  if (text === '') return NaN;
  if (unit !== 'iso') return Math.round(Number(text) * MS_PER_UNIT[unit]);
  // '2019-10-01 00:00:00 UTC' is what several exports write; it differs from ISO 8601 by two characters.
  return Date.parse(text.replace(/ UTC$/, 'Z').replace(/^(\d{4}-\d\d-\d\d) /, '$1T'));
}

export function rowError(row: Row, what: string): EngineError {
  return new EngineError('ROW_INVALID', `Row ${row.number} ${what}.`, { context: { row: row.number } });
}
