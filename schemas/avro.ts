/**
 * The only file that imports avsc: it turns the JSON of an Avro schema into a checked tree of nodes, its canonical form
 * and its fingerprint.
 *
 * avsc parses and judges schemas here and checks our bytes in the tests; reading and writing values is ours
 * (compile-reader.ts, compile-writer.ts). Its decoder allocates what a length prefix asks for, loops as often as an
 * array count says, loses the sign of longs beyond 2^52, and writes past the end of a record in a shared buffer: none of
 * it acceptable for bytes that come from outside.
 */
import avsc from 'avsc';

import { EngineError } from './errors.js';
import { fingerprintOf, type Fingerprint } from './fingerprint.js';

export type PrimitiveName = 'null' | 'boolean' | 'int' | 'long' | 'float' | 'double' | 'string' | 'bytes';

/** One type of a schema. Named types are the same object wherever they are referred to; records may be recursive. */
export type AvroNode =
  | { readonly type: PrimitiveName }
  | { readonly type: 'fixed'; readonly name: string; readonly size: number }
  | { readonly type: 'enum'; readonly name: string; readonly symbols: readonly string[]; readonly fallback?: string }
  | { readonly type: 'array'; readonly items: AvroNode }
  | { readonly type: 'map'; readonly values: AvroNode }
  | { readonly type: 'union'; readonly branches: readonly AvroNode[] }
  | RecordNode;

export interface RecordNode {
  readonly type: 'record';
  /** Full name, with namespace. */
  readonly name: string;
  readonly aliases: readonly string[];
  readonly fields: readonly FieldNode[];
}

export interface FieldNode {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly node: AvroNode;
  /** Returns a fresh copy of the default; undefined when the field must be given. */
  readonly defaultValue: (() => unknown) | undefined;
}

/** A schema as Avro's JSON: text, or the object it parses to. */
export type SchemaSource = string | Readonly<Record<string, unknown>>;

export interface ParsedSchema {
  readonly node: AvroNode;
  /** Parsing Canonical Form: what is left when documentation, defaults and spelling are taken away. */
  readonly canonical: string;
  readonly fingerprint: Fingerprint;
}

/** Parses and checks a schema; SCHEMA_INCOMPATIBLE says what is wrong with it. */
export function parseSchema(source: SchemaSource): ParsedSchema {
  try {
    const schema = (typeof source === 'string' ? JSON.parse(source) : source) as avsc.types.RecordType;
    // Namespaces are attributes of the registry, not of the caller: every schema here stands alone.
    const type = avsc.Type.forSchema(schema, { wrapUnions: 'never', omitRecordMethods: true });
    const canonical = JSON.stringify(type.schema());
    return { node: toNode(type as unknown as AvscType, new Map()), canonical, fingerprint: fingerprintOf(canonical) };
  } catch (error) {
    if (error instanceof EngineError) throw error;
    const text = typeof source === 'string' ? source : JSON.stringify(source);
    throw new EngineError(
      'SCHEMA_INCOMPATIBLE',
      `Schema ${text.slice(0, 80)} is not a valid Avro schema: ${(error as Error).message}`,
      { cause: error },
    );
  }
}

/** What avsc's types hold and its declarations leave out. */
interface AvscType {
  readonly typeName: string;
  readonly name: string;
  readonly aliases: readonly string[];
  readonly symbols: readonly string[];
  readonly size: number;
  readonly default: string | undefined;
  readonly itemsType: AvscType;
  readonly valuesType: AvscType;
  readonly types: readonly AvscType[];
  readonly fields: readonly {
    readonly name: string;
    readonly aliases: readonly string[];
    readonly type: AvscType;
    defaultValue(): unknown;
  }[];
}

const PRIMITIVES = new Set<string>(['null', 'boolean', 'int', 'long', 'float', 'double', 'string', 'bytes']);

function toNode(type: AvscType, known: Map<AvscType, AvroNode>): AvroNode {
  const seen = known.get(type);
  if (seen !== undefined) return seen;
  const remember = <T extends AvroNode>(node: T): T => {
    known.set(type, node);
    return node;
  };
  const { typeName, name } = type;
  if (PRIMITIVES.has(typeName)) return remember({ type: typeName as PrimitiveName });
  if (typeName === 'fixed') return remember({ type: 'fixed', name, size: type.size });
  if (typeName === 'enum') {
    const fallback = type.default;
    return remember({ type: 'enum', name, symbols: type.symbols, ...(fallback === undefined ? {} : { fallback }) });
  }
  if (typeName === 'array') return remember({ type: 'array', items: toNode(type.itemsType, known) });
  if (typeName === 'map') return remember({ type: 'map', values: toNode(type.valuesType, known) });
  if (typeName.startsWith('union')) {
    return remember({ type: 'union', branches: type.types.map((branch) => toNode(branch, known)) });
  }
  if (typeName === 'record') return toRecordNode(type, known);
  throw new EngineError(
    'SCHEMA_INCOMPATIBLE',
    `Schema type "${typeName}" is not supported; expected a plain Avro type`,
  );
}

function toRecordNode(type: AvscType, known: Map<AvscType, AvroNode>): RecordNode {
  const fields: FieldNode[] = [];
  const node: RecordNode = { type: 'record', name: type.name, aliases: type.aliases, fields };
  // Known before its fields are walked: that is what lets a record refer to itself.
  known.set(type, node);
  for (const field of type.fields) {
    const hasDefault = field.defaultValue() !== undefined;
    fields.push({
      name: field.name,
      aliases: field.aliases,
      node: toNode(field.type, known),
      defaultValue: hasDefault ? () => field.defaultValue() : undefined,
    });
  }
  return node;
}

/** Fewest bytes a value of this type takes: a count of values can be judged against the bytes that are left. */
export function minimumWidth(node: AvroNode, inside: ReadonlySet<AvroNode> = new Set()): number {
  if (node.type === 'null' || inside.has(node)) return 0;
  if (node.type === 'float') return 4;
  if (node.type === 'double') return 8;
  if (node.type === 'fixed') return node.size;
  if (node.type !== 'record') return 1;
  const nested = new Set(inside).add(node);
  return node.fields.reduce((sum, field) => sum + minimumWidth(field.node, nested), 0);
}
