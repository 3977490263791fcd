/**
 * Turns a writer's schema and a reader's schema into a function that reads one value, by the rules of the Avro
 * specification, "Schema Resolution". Reader and writer are mostly the same schema; then nothing is lost by it.
 *
 * Generated source, as in compile-writer.ts and with the same care. Each reader record has one constructor, whoever
 * wrote the bytes, so that decoded records of all versions share one hidden class.
 */
import { minimumWidth, type AvroNode, type FieldNode, type RecordNode } from './avro.js';
import type { BinaryReader } from './binary-reader.js';

export type ReadValue = (reader: BinaryReader) => unknown;

/** Why a reader cannot read what a writer wrote. */
export interface ResolutionFault {
  /** `Interaction.context.latitude`, `[]` for items and `{}` for values. */
  readonly path: string;
  readonly reason: string;
}

/**
 * What is read: values, or a view (record-view.ts), in which text, bytes and maps are the places where they lie. Both judge
 * the bytes alike.
 */
export type ReadMode = 'values' | 'view';

/**
 * Compiles, or lists every fault that stands against it. Some faults only concern certain values (an enum symbol the
 * reader lacks): they are listed too, since a stream that may stop on a value is not compatible.
 */
export function compileReader(
  writer: AvroNode,
  reader: AvroNode,
  mode: ReadMode = 'values',
): ReadValue | readonly ResolutionFault[] {
  const source = new ReaderSource(mode);
  const root = reader.type === 'record' ? shortName(reader.name) : reader.type;
  const body = source.expression(writer, reader, root);
  if (source.faults.length > 0) return source.faults;
  const text = `${source.functions.join('\n')}\nreturn function read(r) { return ${body}; };`;
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- see the header
  const build = new Function('c', text) as (constants: readonly unknown[]) => ReadValue;
  return build(source.constants);
}

type RecordConstructor = new (...values: unknown[]) => object;

/** Apart by mode: a field that held texts and numbers alike would cost every reader of either. */
const CONSTRUCTORS: Readonly<Record<ReadMode, WeakMap<RecordNode, RecordConstructor>>> = {
  values: new WeakMap(),
  view: new WeakMap(),
};

/** The constructor of a record's decoded values; its prototype may be given what all of them share. */
export function constructorOf(node: RecordNode, mode: ReadMode = 'values'): RecordConstructor {
  const known = CONSTRUCTORS[mode].get(node);
  if (known !== undefined) return known;
  const parameters = node.fields.map((_, i) => `v${i}`);
  const body = node.fields.map((field, i) => `this[${JSON.stringify(field.name)}] = v${i};`).join(' ');
  const name = shortName(node.name).replace(/\W/g, '') || 'Value';
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- see the header
  const create = new Function(
    `return function ${name}(${parameters.join(', ')}) { ${body} };`,
  ) as () => RecordConstructor;
  const constructor = create();
  CONSTRUCTORS[mode].set(node, constructor);
  return constructor;
}

const shortName = (name: string | undefined): string => (name ?? '').slice((name ?? '').lastIndexOf('.') + 1);

const PRIMITIVE_READS: Readonly<Partial<Record<AvroNode['type'], string>>> = {
  null: 'null',
  boolean: 'r.readBoolean()',
  int: 'r.readInt()',
  long: 'r.readLong()',
  float: 'r.readFloat()',
  double: 'r.readDouble()',
  string: 'r.readString()',
  bytes: 'r.readBytes()',
};

/** Where these lie, in a view. */
const PLACE_READS: Readonly<Partial<Record<AvroNode['type'], string>>> = {
  string: 'r.readPlace()',
  bytes: 'r.readPlace()',
};

/** Reader's type → writer's types that may be read as it. Bytes read as text must be UTF-8 by the writer's word. */
const PROMOTIONS: Readonly<Partial<Record<AvroNode['type'], readonly AvroNode['type'][]>>> = {
  long: ['int'],
  float: ['int', 'long'],
  double: ['int', 'long', 'float'],
  string: ['bytes'],
  bytes: ['string'],
};

class ReaderSource {
  readonly functions: string[] = [];
  readonly constants: unknown[] = [];
  readonly faults: ResolutionFault[] = [];
  private readonly records = new Map<RecordNode, Map<RecordNode | undefined, string>>();
  private names = 0;

  constructor(private readonly mode: ReadMode) {}

  /** Expression that reads a value of `writer` as one of `reader`; without a reader the value is read and dropped. */
  expression(writer: AvroNode, reader: AvroNode | undefined, path: string): string {
    if (writer.type === 'union') return this.writerUnion(writer.branches, reader, path);
    if (reader?.type === 'union') {
      const branch =
        reader.branches.find((candidate) => matches(writer, candidate)) ?? readable(writer, reader.branches);
      if (branch === undefined) return this.fault(path, `${describe(writer)} is none of ${describe(reader)}`);
      return this.expression(writer, branch, path);
    }
    if (reader !== undefined && !matches(writer, reader) && !isPromotion(writer, reader)) {
      return this.fault(path, `${describe(writer)} cannot be read as ${describe(reader)}`);
    }
    switch (writer.type) {
      case 'fixed':
        return `r.readFixed(${writer.size})`;
      case 'enum':
        return this.enumExpression(writer, reader, path);
      case 'array':
        return this.arrayFunction(writer.items, reader?.type === 'array' ? reader.items : undefined, `${path}[]`);
      case 'map':
        return this.mapFunction(writer.values, reader?.type === 'map' ? reader.values : undefined, `${path}{}`);
      case 'record':
        return `${this.recordFunction(writer, reader as RecordNode | undefined, path)}(r)`;
      default: {
        // Bytes and text look the same, so the reader decides which of them comes out.
        const swapped = reader?.type === 'string' || reader?.type === 'bytes';
        const type = swapped ? reader.type : writer.type;
        return ((this.mode === 'view' ? PLACE_READS[type] : undefined) ?? PRIMITIVE_READS[type]) as string;
      }
    }
  }

  private writerUnion(branches: readonly AvroNode[], reader: AvroNode | undefined, path: string): string {
    const cases = branches.map((branch) => this.expression(branch, reader, path));
    // By far the most common union, without a function of its own.
    if (cases.length === 2 && cases[0] === 'null') return `(r.readIndex(2) === 0 ? null : ${cases[1]})`;
    const name = this.functionName();
    const lines = cases.map((expression, i) => `case ${i}: return ${expression};`);
    this.functions.push(`function ${name}(r) { switch (r.readIndex(${cases.length})) { ${lines.join(' ')} } }`);
    return `${name}(r)`;
  }

  private enumExpression(writer: AvroNode & { type: 'enum' }, reader: AvroNode | undefined, path: string): string {
    const target = reader?.type === 'enum' ? reader : writer;
    const symbols = writer.symbols.map((symbol) => (target.symbols.includes(symbol) ? symbol : target.fallback));
    const lacking = writer.symbols.filter((_, i) => symbols[i] === undefined);
    if (lacking.length > 0) return this.fault(path, `the reader lacks the symbols ${lacking.join(', ')}`);
    return `${this.constant(symbols)}[r.readIndex(${symbols.length})]`;
  }

  private arrayFunction(writer: AvroNode, reader: AvroNode | undefined, path: string): string {
    const item = this.expression(writer, reader, path);
    const name = this.functionName();
    this.functions.push(`function ${name}(r) {
      const values = [];
      for (let n = r.readCount(${this.width(writer, path)}); n !== 0; n = r.readCount(${minimumWidth(writer)})) {
        for (let i = 0; i < n; i++) values.push(${item});
      }
      return values; }`);
    return `${name}(r)`;
  }

  private mapFunction(writer: AvroNode, reader: AvroNode | undefined, path: string): string {
    const value = this.expression(writer, reader, path);
    const name = this.functionName();
    if (this.mode === 'view') {
      this.functions.push(`function ${name}(r) {
      const place = r.position;
      for (let n = r.readCount(1); n !== 0; n = r.readCount(1)) {
        for (let i = 0; i < n; i++) { r.readKeyPlace(); ${value}; }
      }
      return place; }`);
      return `${name}(r)`;
    }
    this.functions.push(`function ${name}(r) {
      const values = {};
      for (let n = r.readCount(1); n !== 0; n = r.readCount(1)) {
        for (let i = 0; i < n; i++) {
          const key = r.readKey();
          values[key] = ${value};
        }
      }
      return values; }`);
    return `${name}(r)`;
  }

  private recordFunction(writer: RecordNode, reader: RecordNode | undefined, path: string): string {
    const byReader = this.records.get(writer) ?? new Map<RecordNode | undefined, string>();
    this.records.set(writer, byReader);
    const known = byReader.get(reader);
    if (known !== undefined) return known;
    const name = this.functionName();
    // Known before its fields are compiled: that is what lets a record refer to itself.
    byReader.set(reader, name);
    const lines = writer.fields.map((field, i) => {
      const target = reader?.fields.find((candidate) => hasName(candidate, field.name));
      const expression = this.expression(field.node, target?.node, `${path}.${field.name}`);
      return target === undefined ? `${expression};` : `const v${i} = ${expression};`;
    });
    let result = '';
    if (reader !== undefined) {
      const values = reader.fields.map((field) => this.fieldValue(writer, field, path));
      result = `return new ${this.constant(constructorOf(reader, this.mode))}(${values.join(', ')});`;
    }
    this.functions.push(`function ${name}(r) { ${lines.join('\n')} ${result} }`);
    return name;
  }

  private fieldValue(writer: RecordNode, field: FieldNode, path: string): string {
    const index = writer.fields.findIndex((candidate) => hasName(field, candidate.name));
    if (index >= 0) return `v${index}`;
    if (field.defaultValue === undefined) {
      return this.fault(`${path}.${field.name}`, 'the writer lacks the field and the reader has no default for it');
    }
    return `${this.constant(field.defaultValue)}()`;
  }

  /** Values that may take no bytes at all would let a count of any size pass for a few bytes. */
  private width(node: AvroNode, path: string): number {
    const width = minimumWidth(node);
    if (width === 0)
      this.fault(path, 'values that take no bytes cannot be counted safely; expected a type with a value');
    return width;
  }

  private fault(path: string, reason: string): string {
    this.faults.push({ path, reason });
    return 'null';
  }

  private functionName(): string {
    return `f${this.names++}`;
  }

  private constant(value: unknown): string {
    this.constants.push(value);
    return `c[${this.constants.length - 1}]`;
  }
}

const hasName = (field: FieldNode, name: string): boolean => field.name === name || field.aliases.includes(name);

function matches(writer: AvroNode, reader: AvroNode): boolean {
  if (writer.type !== reader.type) return false;
  if (writer.type === 'fixed' && reader.type === 'fixed')
    return sameName(writer, reader) && writer.size === reader.size;
  if (writer.type === 'enum' || writer.type === 'record') return sameName(writer, reader as typeof writer);
  return true;
}

/** Namespaces may change with the owner of a schema; the name itself, or an alias of it, must stay. */
function sameName(writer: { name?: string }, reader: { name?: string; aliases?: readonly string[] }): boolean {
  const name = shortName(writer.name);
  return name === shortName(reader.name) || (reader.aliases ?? []).some((alias) => shortName(alias) === name);
}

const isPromotion = (writer: AvroNode, reader: AvroNode): boolean =>
  PROMOTIONS[reader.type]?.includes(writer.type) ?? false;

const readable = (writer: AvroNode, branches: readonly AvroNode[]): AvroNode | undefined =>
  branches.find((branch) => isPromotion(writer, branch));

function describe(node: AvroNode): string {
  if (node.type === 'union') return `[${node.branches.map(describe).join(', ')}]`;
  return 'name' in node ? `${node.type} ${shortName(node.name)}` : node.type;
}
