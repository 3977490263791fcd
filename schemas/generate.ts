/**
 * Turns the Avro schemas into the TypeScript that the rest of the engine reads: `records.ts` (one interface a named
 * record, in a decoded and a draft form) and `avro-schemas.ts` (the schemas themselves, so that nothing is read from
 * disk at run time).
 *
 * Pure: text in, text out. `generate-main.ts` writes the files; a test regenerates them in memory and compares, so the
 * checked-in output can never drift from the schemas.
 */

import { parseSchema } from './avro.js';
import type { EmbeddedSchema } from './avro-schemas.js';
import { formatFingerprint } from './fingerprint.js';

/** The part of an Avro schema that Freshet uses. */
export type AvroSchema = string | AvroSchema[] | AvroRecord | AvroEnum | AvroArray | AvroMap;
export interface AvroField {
  name: string;
  type: AvroSchema;
  default?: unknown;
  doc?: string;
}
export interface AvroRecord {
  type: 'record';
  name: string;
  namespace?: string;
  doc?: string;
  fields: AvroField[];
}
export interface AvroEnum {
  type: 'enum';
  name: string;
  namespace?: string;
  doc?: string;
  symbols: string[];
}
export interface AvroArray {
  type: 'array';
  items: AvroSchema;
}
export interface AvroMap {
  type: 'map';
  values: AvroSchema;
}

const BANNER = [
  '/**',
  ' * GENERATED from schemas/avro/*.avsc by schemas/generate.ts: change the schemas and generate again, never this file.',
].join('\n');

const PRIMITIVES: Readonly<Record<string, string>> = {
  null: 'null',
  boolean: 'boolean',
  int: 'number',
  long: 'number',
  float: 'number',
  double: 'number',
  string: 'string',
  bytes: 'Buffer',
};

/** Named types in the order a reader meets them: what a record needs stands before it. */
interface NamedTypes {
  readonly enums: Map<string, AvroEnum>;
  readonly records: Map<string, AvroRecord>;
}

/**
 * Renders records.ts.
 * @param schemas top-level records, each self-contained, in file order
 */
export function renderRecords(schemas: readonly AvroRecord[]): string {
  const named: NamedTypes = { enums: new Map(), records: new Map() };
  for (const schema of schemas) collectNamed(schema, named);
  const kinds = schemas.map((schema) => schema.name).sort();
  const names: Names = { kinds: new Set(kinds), enums: new Set(named.enums.keys()) };
  const sections = [
    `${BANNER}
 *
 * Decoded records have every field (nullable ones as \`T | null\`); a \`Draft\` is what a writer passes: fields with a
 * default may be left out. \`kind\` sits on the prototype of decoded records: it costs nothing, and \`{ ...record }\` does
 * not copy it. Ids are plain strings here; ids.ts turns them into branded ones.
 */`,
  ];
  for (const schema of named.enums.values()) sections.push(renderEnum(schema));
  for (const schema of named.records.values()) {
    sections.push(renderInterface(schema, 'decoded', names), renderInterface(schema, 'draft', names));
  }
  sections.push(
    `export const RECORD_KINDS = ${renderTexts(kinds)} as const;\n` +
      '/** Name of a top-level record: what a topic may hold. */\nexport type RecordKind = (typeof RECORD_KINDS)[number];',
    `export interface RecordByKind {\n${kinds.map((kind) => `  ${kind}: ${kind};\n`).join('')}}`,
    `export interface DraftByKind {\n${kinds.map((kind) => `  ${kind}: ${kind}Draft;\n`).join('')}}`,
    '/** Any decoded record; branch on `kind`. */\nexport type AnyRecord = RecordByKind[RecordKind];',
  );
  return `${sections.join('\n\n')}\n`;
}

/**
 * Renders avro-schemas.ts: the schemas in force and the earlier released ones, documentation left out since it is not
 * part of a schema's identity. Fingerprints are computed here, so that a process parses only the schemas it meets.
 * @param history released versions; those that are still in force are left out
 */
export function renderSchemas(schemas: readonly AvroRecord[], history: readonly AvroRecord[]): string {
  const current = embed(schemas);
  const known = new Set(current.map((schema) => schema.fingerprint));
  const earlier = embed(history).filter((schema) => !known.has(schema.fingerprint));
  return `${BANNER}
 *
 * JSON text of each schema with its fingerprint. Text, because parsing it is faster to load than the same thing as an
 * object literal, and nobody can change it by accident.
 */
export interface EmbeddedSchema {
  readonly kind: string;
  /** CRC-64-AVRO of the canonical form, 16 hexadecimal digits. */
  readonly fingerprint: string;
  readonly schema: string;
}

/** One a record kind: what is written, and what is read into. */
export const AVRO_SCHEMAS: readonly EmbeddedSchema[] = [${renderEmbedded(current)}];

/** Released earlier and no longer written; still read. */
export const AVRO_HISTORY: readonly EmbeddedSchema[] = [${renderEmbedded(earlier)}];
`;
}

/** File name of a released schema in schemas/history. */
export function historyFileName(schema: AvroRecord): string {
  return `${schema.name}.${fingerprintText(schema)}.avsc`;
}

const fingerprintText = (schema: AvroRecord): string =>
  formatFingerprint(parseSchema(JSON.stringify(schema)).fingerprint);

function embed(schemas: readonly AvroRecord[]): EmbeddedSchema[] {
  return schemas
    .map((schema) => ({
      kind: schema.name,
      fingerprint: fingerprintText(schema),
      schema: JSON.stringify(withoutDocs(schema)),
    }))
    .sort((a, b) => (a.kind + a.fingerprint < b.kind + b.fingerprint ? -1 : 1));
}

function renderEmbedded(schemas: readonly EmbeddedSchema[]): string {
  const entries = schemas.map(
    ({ kind, fingerprint, schema }) =>
      `  {\n    kind: '${kind}',\n    fingerprint: '${fingerprint}',\n    schema:\n      '${schema.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}',\n  },\n`,
  );
  return entries.length === 0 ? '' : `\n${entries.join('')}`;
}

/** Schema without its `doc` attributes. */
export function withoutDocs(schema: AvroSchema): AvroSchema {
  return JSON.parse(
    JSON.stringify(schema, (key, value: unknown) => (key === 'doc' && typeof value === 'string' ? undefined : value)),
  ) as AvroSchema;
}

function collectNamed(schema: AvroSchema, into: NamedTypes): void {
  if (typeof schema === 'string') return;
  if (Array.isArray(schema)) {
    for (const branch of schema) collectNamed(branch, into);
  } else if (schema.type === 'array') {
    collectNamed(schema.items, into);
  } else if (schema.type === 'map') {
    collectNamed(schema.values, into);
  } else if (schema.type === 'enum') {
    requireSame(into.enums.get(schema.name), schema);
    into.enums.set(schema.name, schema);
  } else {
    for (const field of schema.fields) collectNamed(field.type, into);
    requireSame(into.records.get(schema.name), schema);
    // Files repeat shared definitions; the first, which is spelled out in full, is the one to render.
    if (!into.records.has(schema.name)) into.records.set(schema.name, schema);
  }
}

/** A name means one thing across all files: two definitions of it would make one interface lie about the other. */
function requireSame(known: AvroSchema | undefined, schema: AvroRecord | AvroEnum): void {
  if (known === undefined || shape(known) === shape(schema)) return;
  throw new Error(`${schema.name} is defined twice, differently; expected one definition in all of schemas/avro`);
}

/** Text of a definition that does not depend on whether nested names are spelled out or referred to. */
function shape(schema: AvroSchema): string {
  return JSON.stringify(withoutDocs(schema), (key, value: unknown) => {
    const nested = value as { type?: unknown; name?: unknown } | null;
    const isNamed = typeof nested === 'object' && (nested?.type === 'record' || nested?.type === 'enum');
    return key !== '' && isNamed ? nested.name : value;
  });
}

function renderEnum(schema: AvroEnum): string {
  const constant = `${schema.name.replace(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase()}S`;
  return (
    `${renderDoc(schema.doc, '')}export const ${constant} = ${renderTexts(schema.symbols)} as const;\n` +
    `export type ${schema.name} = (typeof ${constant})[number];`
  );
}

/** Array of texts, laid out as prettier would: on one line when that is short. */
function renderTexts(texts: readonly string[]): string {
  const line = `[${texts.map((text) => `'${text}'`).join(', ')}]`;
  return line.length <= 70 ? line : `[\n${texts.map((text) => `  '${text}',\n`).join('')}]`;
}

type Form = 'decoded' | 'draft';

/** Which names are top-level records, and which are enums: the rest are nested records. */
interface Names {
  readonly kinds: ReadonlySet<string>;
  readonly enums: ReadonlySet<string>;
}

function renderInterface(schema: AvroRecord, form: Form, names: Names): string {
  const lines: string[] = [];
  if (form === 'decoded') {
    lines.push(`${renderDoc(schema.doc, '')}export interface ${schema.name} {\n`);
    if (names.kinds.has(schema.name)) requireNoKindField(schema);
    if (names.kinds.has(schema.name)) lines.push(`  readonly kind: '${schema.name}';\n`);
  } else {
    lines.push(`export interface ${schema.name}Draft {\n`);
  }
  for (const field of schema.fields) {
    if (form === 'decoded') lines.push(renderDoc(field.doc, '  '));
    const optional = form === 'draft' && 'default' in field;
    const type = renderType(field.type, form, names);
    lines.push(`  readonly ${field.name}${optional ? '?' : ''}: ${type}${optional ? ' | undefined' : ''};\n`);
  }
  return `${lines.join('')}}`;
}

function requireNoKindField(schema: AvroRecord): void {
  if (!schema.fields.some((field) => field.name === 'kind')) return;
  throw new Error(`${schema.name}.kind would hide the kind of the record; expected another name for the field`);
}

function renderType(schema: AvroSchema, form: Form, names: Names): string {
  if (typeof schema === 'string') return PRIMITIVES[schema] ?? referTo(schema, form, names);
  if (Array.isArray(schema)) {
    // `T | null` reads better than `null | T`, whatever the order of the branches.
    const branches = schema.filter((branch) => branch !== 'null').map((branch) => renderType(branch, form, names));
    return [...branches, ...(branches.length < schema.length ? ['null'] : [])].join(' | ');
  }
  if (schema.type === 'array') return `readonly ${wrapUnion(renderType(schema.items, form, names))}[]`;
  if (schema.type === 'map') return `Readonly<Record<string, ${renderType(schema.values, form, names)}>>`;
  return referTo(schema.name, form, names);
}

/** Reference to a named type, short or full; enums have no draft form. */
function referTo(name: string, form: Form, names: Names): string {
  const short = name.slice(name.lastIndexOf('.') + 1);
  return form === 'draft' && !names.enums.has(short) ? `${short}Draft` : short;
}

const wrapUnion = (type: string): string => (type.includes(' ') ? `(${type})` : type);

const renderDoc = (doc: string | undefined, indent: string): string =>
  doc === undefined ? '' : `${indent}/** ${doc.replaceAll('*/', '* /')} */\n`;
