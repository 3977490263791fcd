/**
 * Writes small WebAssembly modules: the instructions the numeric kernels need, as functions that return their bytes.
 *
 * Node has no way to say "four multiplications at once" but WebAssembly's 128-bit vectors, and a kernel of thirty
 * instructions does not need a compiler in the tool chain. An expression is the list of its bytes, so nesting calls nests
 * expressions: `add(get(i), int(4))`. Specification: WebAssembly Core 2.0 with the threads proposal (shared memory).
 *
 * Invariant: bytes depend on the arguments alone; the module has one imported memory and no state of its own.
 */
export type Code = readonly number[];
/** Index of a parameter or local variable of the function being written. */
export type Local = number;

export const I32 = 0x7f;
export const V128 = 0x7b;
type ValueType = typeof I32 | typeof V128;

const NO_RESULT = 0x40;

/** Unsigned LEB128. */
function unsigned(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value >>> 0; ;) {
    const low = rest & 0x7f;
    rest >>>= 7;
    if (rest === 0) return [...bytes, low];
    bytes.push(low | 0x80);
  }
}

/** Signed LEB128. */
function signed(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value | 0; ;) {
    const low = rest & 0x7f;
    rest >>= 7;
    if ((rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)) return [...bytes, low];
    bytes.push(low | 0x80);
  }
}

const vector = (items: readonly Code[]): number[] => [...unsigned(items.length), ...items.flat()];
const text = (value: string): number[] => [...unsigned(value.length), ...Buffer.from(value, 'latin1')];
const section = (id: number, body: Code): number[] => [id, ...unsigned(body.length), ...body];

export const get = (local: Local): Code => [0x20, ...unsigned(local)];
export const set = (local: Local, value: Code): Code => [...value, 0x21, ...unsigned(local)];
export const int = (value: number): Code => [0x41, ...signed(value)];
export const add = (left: Code, right: Code): Code => [...left, ...right, 0x6a];
export const multiply = (left: Code, right: Code): Code => [...left, ...right, 0x6c];
export const isAtLeast = (left: Code, right: Code): Code => [...left, ...right, 0x4e];
const isGreater = (left: Code, right: Code): Code => [...left, ...right, 0x4a];

/** The smaller of two signed integers; both are evaluated twice. */
export const smaller = (left: Code, right: Code): Code => [...right, ...left, ...isGreater(left, right), 0x1b];

export const when = (condition: Code, then: Code, otherwise: Code = []): Code => [
  ...condition,
  ...[0x04, NO_RESULT],
  ...then,
  ...(otherwise.length > 0 ? [0x05, ...otherwise] : []),
  0x0b,
];

/** for (local = from; local + step <= limit; local += step) body; the local keeps where it stopped. */
export const countUp = (local: Local, from: Code | undefined, limit: Code, step: number, body: Code): Code => [
  ...(from === undefined ? [] : set(local, from)),
  ...[0x02, NO_RESULT, 0x03, NO_RESULT],
  ...isGreater(add(get(local), int(step)), limit),
  ...[0x0d, 1],
  ...body,
  ...set(local, add(get(local), int(step))),
  ...[0x0c, 0, 0x0b, 0x0b],
];

const simd = (operation: number, ...rest: number[]): number[] => [0xfd, ...unsigned(operation), ...rest];
const at = (offset: number, alignment: number): number[] => [alignment, ...unsigned(offset)];

/** One integer from memory. */
export const loadInt = (address: Code, offset = 0): Code => [...address, 0x28, ...at(offset, 2)];
export const load4 = (address: Code, offset = 0): Code => [...address, ...simd(0x00, ...at(offset, 2))];
/** One float from memory in all four lanes. */
export const loadSplat = (address: Code, offset = 0): Code => [...address, ...simd(0x09, ...at(offset, 2))];
export const store4 = (address: Code, value: Code, offset = 0): Code => [
  ...address,
  ...value,
  ...simd(0x0b, ...at(offset, 2)),
];
/** Copies one float. */
export const copyFloat = (target: Code, source: Code, targetOffset = 0, sourceOffset = 0): Code => [
  ...target,
  ...source,
  0x2a,
  ...at(sourceOffset, 2),
  0x38,
  ...at(targetOffset, 2),
];
/** Stores lane 0 of a vector. */
export const storeLane0 = (address: Code, value: Code, offset = 0): Code => [
  ...address,
  ...value,
  ...simd(0x1f, 0),
  0x38,
  ...at(offset, 2),
];

export const floats4 = (value: number): Code => {
  const bytes = [...new Uint8Array(Float32Array.of(value, value, value, value).buffer)];
  return simd(0x0c, ...bytes);
};
export const integers4 = (value: number): Code => {
  const bytes = [...new Uint8Array(Int32Array.of(value, value, value, value).buffer)];
  return simd(0x0c, ...bytes);
};
const binary =
  (operation: number) =>
  (left: Code, right: Code): Code => [...left, ...right, ...simd(operation)];
const unary =
  (operation: number) =>
  (value: Code): Code => [...value, ...simd(operation)];

export const add4 = binary(0xe4);
export const subtract4 = binary(0xe5);
export const multiply4 = binary(0xe6);
export const divide4 = binary(0xe7);
export const most4 = binary(0xe9);
export const nearest4 = unary(0x6a);
export const toIntegers4 = unary(0xf8);
export const addIntegers4 = binary(0xae);
/** Shifts each 32-bit lane left. */
export const shift4 = (value: Code, bits: number): Code => [...value, ...int(bits), ...simd(0xab)];
/** Lanes in another order: lane i of the result is lane `order[i]`. */
export const reorder4 = (value: Code, order: readonly [number, number, number, number]): Code => {
  const bytes = order.flatMap((lane) => [4 * lane, 4 * lane + 1, 4 * lane + 2, 4 * lane + 3]);
  return [...value, ...value, ...simd(0x0d, ...bytes)];
};

/** What one `load4` reads. */
export const VECTOR_BYTES = int(16);
/** Moves a pointer on. */
export const forward = (pointer: Local, bytes: Code): Code => set(pointer, add(get(pointer), bytes));

/** The sum of a vector's lanes, in all of them. */
const sumLanes = (vector: Local): Code => [
  ...set(vector, add4(get(vector), reorder4(get(vector), [2, 3, 0, 1]))),
  ...set(vector, add4(get(vector), reorder4(get(vector), [1, 0, 3, 2]))),
];

/**
 * Leaves left · right, of `count` floats from where the pointers stand, in all lanes of `sum`; moves the pointers behind
 * them. `count`: a multiple of 4.
 */
export const dot4 = (sum: Local, k: Local, [left, right]: readonly [Local, Local], count: Local): Code => [
  ...set(sum, floats4(0)),
  ...countUp(k, int(0), get(count), 4, [
    ...set(sum, add4(get(sum), multiply4(load4(get(left)), load4(get(right))))),
    ...forward(left, VECTOR_BYTES),
    ...forward(right, VECTOR_BYTES),
  ]),
  ...sumLanes(sum),
];

/** A function under construction: all parameters are integers, it returns nothing. */
export class KernelFunction {
  private readonly locals: ValueType[] = [];
  body: Code = [];

  constructor(
    readonly name: string,
    private readonly parameterCount: number,
  ) {}

  local(type: ValueType): Local {
    this.locals.push(type);
    return this.parameterCount + this.locals.length - 1;
  }

  get signature(): Code {
    return [0x60, ...vector(Array.from({ length: this.parameterCount }, () => [I32])), 0];
  }

  get code(): Code {
    const locals = vector(this.locals.map((type) => [1, type]));
    const body = [...locals, ...this.body, 0x0b];
    return [...unsigned(body.length), ...body];
  }
}

/** Pages of a module's memory: 64 KiB each; 4 GiB is what 32-bit addresses reach. */
export const PAGE_BYTES = 65_536;
export const PAGES_MAX = 65_536;

/** The bytes of a module that imports `kernels.memory` (shared) and exports the functions by name. */
export function encodeModule(functions: readonly KernelFunction[]): Uint8Array<ArrayBuffer> {
  const SHARED_WITH_LIMIT = 0x03;
  const memory = [
    ...text('kernels'),
    ...text('memory'),
    0x02,
    SHARED_WITH_LIMIT,
    ...unsigned(1),
    ...unsigned(PAGES_MAX),
  ];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, vector(functions.map((each) => each.signature))),
    ...section(2, vector([memory])),
    ...section(3, vector(functions.map((_, i) => unsigned(i)))),
    ...section(7, vector(functions.map((each, i) => [...text(each.name), 0x00, ...unsigned(i)]))),
    ...section(10, vector(functions.map((each) => each.code))),
  ]);
}
