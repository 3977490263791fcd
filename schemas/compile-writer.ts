/**
 * Turns a schema into a function that checks and writes one value.
 *
 * The function is generated source: one straight line of code for a record is what V8 optimises best, several times
 * faster than walking the schema for each value. Everything that ends up in the source is a name or number that
 * parseSchema has checked, passed through JSON.stringify; values never do.
 * It throws VALUE_INVALID at the first fault without saying where: describe-fault.ts looks for that, when it is needed.
 */
import type { AvroNode, RecordNode } from './avro.js';
import { BinaryWriter, VALUE_INVALID } from './binary-writer.js';
import { bucketOf } from './union-bucket.js';

export type WriteValue = (writer: BinaryWriter, value: unknown) => void;

export function compileWriter(node: AvroNode): WriteValue {
  const source = new WriterSource();
  const body = source.statements(node, 'v');
  const text = `${source.functions.join('\n')}\nreturn function write(w, v) { ${body} };`;
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- see the header
  const build = new Function('c', 'INVALID', 'helpers', text) as (
    constants: readonly unknown[],
    invalid: Error,
    helpers: typeof HELPERS,
  ) => WriteValue;
  return build(source.constants, VALUE_INVALID, HELPERS);
}

const HELPERS = {
  isBytes: (value: unknown): boolean => value instanceof Uint8Array,
  isFloat: (value: unknown): boolean => typeof value === 'number' && Number.isFinite(Math.fround(value)),
  isMap: (value: unknown): boolean =>
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array),
  /** Keys of a map; `__proto__` could not be given back as a plain property when the map is read. */
  keysOf(map: object): string[] {
    const keys = Object.keys(map);
    if (keys.includes('__proto__')) throw VALUE_INVALID;
    return keys;
  },
};

const unless = (condition: string): string => `if (!(${condition})) throw INVALID;`;

class WriterSource {
  readonly functions: string[] = [];
  readonly constants: unknown[] = [];
  private readonly records = new Map<RecordNode, string>();
  private variables = 0;

  /** Statements that check and write what the expression `x` holds; `x` is a variable, so reading it twice is free. */
  statements(node: AvroNode, x: string): string {
    switch (node.type) {
      case 'null':
        return unless(`${x} === null`);
      case 'boolean':
        return `${unless(`typeof ${x} === 'boolean'`)} w.writeByte(${x} ? 1 : 0);`;
      case 'int':
        return `${unless(`(${x} | 0) === ${x}`)} w.writeLong(${x});`;
      case 'long':
        return `${unless(`Number.isSafeInteger(${x})`)} w.writeLong(${x});`;
      case 'float':
        return `${unless(`helpers.isFloat(${x})`)} w.writeFloat(${x});`;
      case 'double':
        return `${unless(`Number.isFinite(${x})`)} w.writeDouble(${x});`;
      case 'string':
        return `w.writeString(${x});`;
      case 'bytes':
        return `${unless(`helpers.isBytes(${x})`)} w.writeBytes(${x});`;
      case 'fixed':
        return `${unless(`helpers.isBytes(${x}) && ${x}.length === ${node.size}`)} w.writeFixed(${x});`;
      case 'enum': {
        const indices = this.constant(new Map(node.symbols.map((symbol, i) => [symbol, i])));
        const index = this.variable();
        return `const ${index} = ${indices}.get(${x}); ${unless(`${index} !== undefined`)} w.writeLong(${index});`;
      }
      case 'array':
        return this.arrayStatements(node.items, x);
      case 'map':
        return this.mapStatements(node.values, x);
      case 'union':
        return this.unionStatements(node.branches, x);
      case 'record':
        return `${this.recordFunction(node)}(w, ${x});`;
    }
  }

  private arrayStatements(items: AvroNode, x: string): string {
    const [i, item] = [this.variable(), this.variable()];
    return `${unless(`Array.isArray(${x})`)}
      if (${x}.length > 0) {
        w.writeLong(${x}.length);
        for (let ${i} = 0; ${i} < ${x}.length; ${i}++) { const ${item} = ${x}[${i}]; ${this.statements(items, item)} }
      }
      w.writeByte(0);`;
  }

  private mapStatements(values: AvroNode, x: string): string {
    const [keys, key, value] = [this.variable(), this.variable(), this.variable()];
    return `${unless(`helpers.isMap(${x})`)}
      const ${keys} = helpers.keysOf(${x});
      if (${keys}.length > 0) {
        w.writeLong(${keys}.length);
        for (const ${key} of ${keys}) {
          w.writeString(${key});
          const ${value} = ${x}[${key}];
          ${this.statements(values, value)}
        }
      }
      w.writeByte(0);`;
  }

  private unionStatements(branches: readonly AvroNode[], x: string): string {
    const tests = branches.map((branch, index) => {
      // What a zig-zag of the index looks like; more than 63 branches nobody has.
      const write = `w.writeByte(${index * 2});`;
      if (branch.type === 'null') return `if (${x} === null) { ${write} }`;
      return `if (${bucketTest(branch, x)}) { ${write} ${this.statements(branch, x)} }`;
    });
    return `${tests.join(' else ')} else throw INVALID;`;
  }

  private recordFunction(node: RecordNode): string {
    const known = this.records.get(node);
    if (known !== undefined) return known;
    const name = `record${this.records.size}`;
    this.records.set(node, name);
    const lines = node.fields.map((field) => {
      const x = this.variable();
      const read = `const ${x} = v[${JSON.stringify(field.name)}];`;
      const write = this.statements(field.node, x);
      if (field.defaultValue === undefined) return `${read} ${write}`;
      return `${read} if (${x} === undefined) { ${this.defaultStatements(field.node, field.defaultValue())} } else { ${write} }`;
    });
    this.functions.push(`function ${name}(w, v) { ${unless("typeof v === 'object' && v !== null")}
      ${lines.join('\n')} }`);
    return name;
  }

  /** A default is written once, now; only its bytes stand in the generated code. */
  private defaultStatements(node: AvroNode, value: unknown): string {
    const writer = new BinaryWriter();
    // A union's default belongs to its first branch, whatever its value looks like.
    compileWriter(node)(writer, value);
    const bytes = writer.takeScratch();
    if (bytes.length === 1) return `w.writeByte(${bytes[0]});`;
    return `w.writeFixed(${this.constant(bytes)});`;
  }

  private variable(): string {
    return `x${this.variables++}`;
  }

  private constant(value: unknown): string {
    this.constants.push(value);
    return `c[${this.constants.length - 1}]`;
  }
}

/** Tells union branches apart by the value's JavaScript type: parseSchema refuses unions where that is not possible. */
function bucketTest(node: AvroNode, x: string): string {
  switch (bucketOf(node)) {
    case 'boolean':
    case 'number':
    case 'string':
      return `typeof ${x} === '${bucketOf(node)}'`;
    case 'bytes':
      return `helpers.isBytes(${x})`;
    case 'array':
      return `Array.isArray(${x})`;
    default:
      return `helpers.isMap(${x})`;
  }
}
