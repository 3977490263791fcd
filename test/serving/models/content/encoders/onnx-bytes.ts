/**
 * Networks of a few nodes as ONNX files, written field by field in protocol buffers, so that tests run the real runtime
 * on real files without a download. Field numbers are those of onnx.proto.
 */

type Field = readonly [number: number, value: number | string | Uint8Array | readonly Field[]];

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (; value > 0x7f; value = Math.floor(value / 128)) bytes.push((value % 128) | 0x80);
  return [...bytes, value];
}

function message(fields: readonly Field[]): Uint8Array {
  return Uint8Array.from(
    fields.flatMap(([number, value]) => {
      if (typeof value === 'number') return [...varint(number * 8), ...varint(value)];
      const bytes =
        typeof value === 'string' ? Buffer.from(value) : value instanceof Uint8Array ? value : message(value);
      return [...varint(number * 8 + 2), ...varint(bytes.length), ...bytes];
    }),
  );
}

const FLOAT = 1;
const INT64 = 7;

export interface Value {
  readonly name: string;
  readonly type: 'float' | 'int64';
  /** A text is a size that may vary. */
  readonly shape: readonly (number | string)[];
}

export interface Node {
  readonly operation: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

export interface Weights {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

export interface Graph {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly nodes: readonly Node[];
  readonly weights?: readonly Weights[];
}

export function onnxBytes({ inputs, outputs, nodes, weights = [] }: Graph): Uint8Array {
  const graph: Field[] = [
    ...nodes.map((node): Field => [1, nodeFields(node)]),
    [2, 'test'],
    ...weights.map((each): Field => [5, weightFields(each)]),
    ...inputs.map((each): Field => [11, valueFields(each)]),
    ...outputs.map((each): Field => [12, valueFields(each)]),
  ];
  return message([
    [1, 8],
    [8, [[2, 13]]],
    [7, graph],
  ]);
}

function nodeFields({ operation, inputs, outputs }: Node): Field[] {
  return [...inputs.map((name): Field => [1, name]), ...outputs.map((name): Field => [2, name]), [4, operation]];
}

function weightFields({ name, shape, values }: Weights): Field[] {
  const raw = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return [...shape.map((size): Field => [1, size]), [2, FLOAT], [8, name], [9, raw]];
}

function valueFields({ name, type, shape }: Value): Field[] {
  const dimensions = shape.map((size): Field => [1, [typeof size === 'number' ? [1, size] : [2, size]]]);
  const tensor: Field[] = [
    [1, type === 'float' ? FLOAT : INT64],
    [2, dimensions],
  ];
  return [
    [1, name],
    [2, [[1, tensor]]],
  ];
}
