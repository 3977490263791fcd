/**
 * Field checks of the edge: each reads one JSON value strictly and carries the JSON schema that describes it.
 *
 * One declaration serves the hot path, the OpenAPI document and the AsyncAPI document, so they cannot disagree. Nothing
 * is coerced; `null` counts as absent; an unknown field is refused by its path. A failure throws EVENT_INVALID (or what
 * the caller asked for) and is the only place where a path is put together.
 */
import { EngineError, type ErrorCode } from '../../schemas/errors.js';
import { ID_BYTES_MAX, requireId } from '../../schemas/ids.js';

export type JsonSchema = Readonly<Record<string, unknown>>;
export type JsonObject = Readonly<Record<string, unknown>>;

/** Where a value stands: `at` is the path of its parent, '' at the top. */
export interface Check<T> {
  readonly schema: JsonSchema;
  read(value: unknown, at: string, name: string): T;
}

/** `events[3]` + `context` → `events[3].context`. */
export const pathOf = (at: string, name: string): string => (at === '' ? name : `${at}.${name}`);

/** Longest part of a refused value that is quoted. */
const QUOTED_MAX = 60;

export function invalid(at: string, name: string, value: unknown, expected: string): EngineError {
  return fault('EVENT_INVALID', pathOf(at, name), value, expected);
}

export function fault(code: ErrorCode, field: string, value: unknown, expected: string): EngineError {
  return new EngineError(code, `${field} is ${quote(value)}; expected ${expected}`, { context: { field } });
}

export function quote(value: unknown): string {
  if (value === undefined) return 'absent';
  const text = typeof value === 'object' && value !== null ? (Array.isArray(value) ? 'a list' : 'an object') : null;
  if (text !== null) return text;
  if (typeof value === 'string') {
    // Cut before quoting: the value may be megabytes long.
    return JSON.stringify(value.length > QUOTED_MAX ? `${value.slice(0, QUOTED_MAX)}…` : value);
  }
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : 'null';
}

export const id = (description: string): Check<string> => ({
  schema: { type: 'string', minLength: 1, maxLength: ID_BYTES_MAX, description },
  read: (value, at, name) =>
    typeof value === 'string'
      ? requireId(value, at === '' ? name : pathOf(at, name))
      : refuse(value, at, name, 'an id (text)'),
});

export function text(description: string, charactersMax: number): Check<string> {
  return {
    schema: { type: 'string', minLength: 1, maxLength: charactersMax, description },
    read(value, at, name) {
      if (typeof value === 'string' && value !== '' && value.length <= charactersMax) return value;
      throw invalid(at, name, value, `text of 1 to ${charactersMax} characters`);
    },
  };
}

/** JSON has no NaN or infinity; 1e999 reads as one, and is refused here. */
export function number(description: string, min: number, max: number): Check<number> {
  return {
    schema: { type: 'number', minimum: min, maximum: max, description },
    read(value, at, name) {
      if (typeof value === 'number' && value >= min && value <= max) return value;
      throw invalid(at, name, value, `a number from ${min} to ${max}`);
    },
  };
}

export function integer(description: string, min: number, max: number): Check<number> {
  return {
    schema: { type: 'integer', minimum: min, maximum: max, description },
    read(value, at, name) {
      if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) return value as number;
      throw invalid(at, name, value, `an integer from ${min} to ${max}`);
    },
  };
}

export const flag = (description: string): Check<boolean> => ({
  schema: { type: 'boolean', description },
  read: (value, at, name) => (typeof value === 'boolean' ? value : refuse(value, at, name, 'true or false')),
});

export function choice<const V extends string>(description: string, values: readonly V[]): Check<V> {
  const known: ReadonlySet<unknown> = new Set(values);
  return {
    schema: { type: 'string', enum: values, description },
    read: (value, at, name) =>
      known.has(value) ? (value as V) : refuse(value, at, name, `one of ${values.join(', ')}`),
  };
}

export function list<T>(description: string, item: Check<T>, itemsMax: number, itemsMin = 0): Check<T[]> {
  return {
    schema: {
      type: 'array',
      items: item.schema,
      maxItems: itemsMax,
      ...(itemsMin > 0 && { minItems: itemsMin }),
      description,
    },
    read(value, at, name) {
      if (!Array.isArray(value)) throw invalid(at, name, value, 'a list');
      if (value.length > itemsMax || value.length < itemsMin) {
        throw invalid(at, name, `a list of ${value.length}`, `a list of ${itemsMin} to ${itemsMax} entries`);
      }
      const read: T[] = [];
      for (let i = 0; i < value.length; i++) read.push(item.read(value[i], at, `${name}[${i}]`));
      return read;
    },
  };
}

/** Keys and texts as given; the object itself is kept, so a key like `__proto__` stays an own key. */
export function textMap(
  description: string,
  keysMax: number,
  charactersMax: number,
): Check<Readonly<Record<string, string>>> {
  return {
    schema: {
      type: 'object',
      maxProperties: keysMax,
      additionalProperties: { type: 'string', maxLength: charactersMax },
      description,
    },
    read(value, at, name) {
      if (!isObject(value)) throw invalid(at, name, value, 'an object of texts');
      const keys = Object.keys(value);
      if (keys.length > keysMax) throw invalid(at, name, `an object of ${keys.length} keys`, `at most ${keysMax} keys`);
      for (const key of keys) {
        const entry = value[key];
        if (key.length > charactersMax || typeof entry !== 'string' || entry.length > charactersMax) {
          throw invalid(
            pathOf(at, name),
            key.slice(0, QUOTED_MAX),
            entry,
            `text of at most ${charactersMax} characters`,
          );
        }
      }
      return value as Readonly<Record<string, string>>;
    },
  };
}

export type Fields = Readonly<Record<string, Check<unknown>>>;
type ReadOf<F extends Fields, R extends keyof F> = {
  readonly [K in keyof F]: (F[K] extends Check<infer T> ? T : never) | (K extends R ? never : undefined);
};

export interface ObjectCheck<F extends Fields, R extends keyof F> extends Check<ReadOf<F, R>> {
  readonly fields: F;
  /** Refuses what is not an object, and unknown fields by their path; for readers that take the fields one by one. */
  requireShape(value: unknown, at: string, name: string): JsonObject;
}

export function object<const F extends Fields, const R extends keyof F & string = never>(
  description: string,
  fields: F,
  required: readonly R[] = [],
): ObjectCheck<F, R> {
  const names = Object.keys(fields);
  const known: ReadonlySet<string> = new Set(names);
  const requiredNames: ReadonlySet<string> = new Set(required);
  const properties = Object.fromEntries(names.map((name) => [name, fields[name]!.schema]));
  const requireShape = (value: unknown, at: string, name: string): JsonObject => {
    if (!isObject(value)) throw invalid(at, name === '' ? 'body' : name, value, 'an object');
    for (const key in value) if (!known.has(key)) throw unknownField(at, name, key, names);
    return value;
  };
  return {
    fields,
    schema: { type: 'object', properties, required, additionalProperties: false, description },
    requireShape,
    read(value, at, name) {
      const given = requireShape(value, at, name);
      const path = name === '' ? at : pathOf(at, name);
      const read: Record<string, unknown> = {};
      for (const field of names) {
        const entry = given[field];
        if (entry !== undefined && entry !== null) read[field] = fields[field]!.read(entry, path, field);
        else if (requiredNames.has(field)) fields[field]!.read(undefined, path, field);
        else read[field] = undefined;
      }
      return read as ReadOf<F, R>;
    },
  };
}

/** Absent and null are null: what record drafts take. */
export function orNull<T>(check: Check<T>, body: JsonObject, at: string, name: string): T | null {
  const value = body[name];
  return value === undefined || value === null ? null : check.read(value, at, name);
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function unknownField(at: string, name: string, key: string, known: readonly string[]): EngineError {
  const path = pathOf(name === '' ? at : pathOf(at, name), key.slice(0, QUOTED_MAX));
  return new EngineError('EVENT_INVALID', `${path} is not a known field; expected one of ${known.join(', ')}`, {
    context: { field: path },
  });
}

function refuse(value: unknown, at: string, name: string, expected: string): never {
  throw invalid(at, name, value, expected);
}
