/**
 * The numeric kernels as WebAssembly: matrix product with packed right side, and the exponentials of a softmax.
 *
 * `product` computes tiles of 4 rows × 8 columns in eight vector registers; the right-hand matrix was copied before into
 * panels of 8 columns (`pack`), so that the inner loop reads both sides forward, whatever was transposed. After Goto and
 * van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008).
 *
 * Addresses, strides and counts are in bytes and elements as named; nothing is checked here: `kernels.ts` is the only
 * caller and does.
 */
import * as w from './wasm-module.js';
import { type Code, KernelFunction, type Local } from './wasm-module.js';

/** Columns of a packed panel: two vectors. */
export const PANEL_COLUMNS = 8;
const PANEL_ROW_BYTES = PANEL_COLUMNS * 4;
/** Rows of a tile. 4 × 2 sums, 2 panel vectors, 1 factor and 1 product stay within the 16 registers of x86-64. */
const TILE_ROWS = 4;
/** Rows of the left side that stay in the first-level cache while all panels pass by. */
const BLOCK_ROWS = 32;
/** Columns in one go when there is a single row: eight independent sums hide the latency of the addition. */
const WIDE_PANELS = 4;

/** Module with `pack`, `product`, `exponentials` and the additional ones. */
export function encodeKernels(additional: readonly KernelFunction[] = []): Uint8Array<ArrayBuffer> {
  return w.encodeModule([packKernel(), productKernel(), exponentialsKernel(), ...additional]);
}

/**
 * pack(source, rowBytes, columnBytes, rows, columns, target): panel p holds columns 8p … 8p+7, row after row.
 * `columns` is a multiple of 8.
 */
function packKernel(): KernelFunction {
  const kernel = new KernelFunction('pack', 6);
  const [source, rowBytes, columnBytes, rows, columns, target] = [0, 1, 2, 3, 4, 5];
  const column = kernel.local(w.I32);
  const row = kernel.local(w.I32);
  const from = kernel.local(w.I32);
  const to = kernel.local(w.I32);
  const pointer = kernel.local(w.I32);
  const copyContiguous = [
    ...w.store4(w.get(to), w.load4(w.get(from))),
    ...w.store4(w.get(to), w.load4(w.get(from), 16), 16),
  ];
  const copyStrided = [
    ...w.set(pointer, w.get(from)),
    ...Array.from({ length: PANEL_COLUMNS }, (_, c) => [
      ...w.copyFloat(w.get(to), w.get(pointer), 4 * c),
      ...w.set(pointer, w.add(w.get(pointer), w.get(columnBytes))),
    ]).flat(),
  ];
  const eachRow = (copy: Code): Code =>
    w.countUp(row, w.int(0), w.get(rows), 1, [
      ...copy,
      ...w.set(to, w.add(w.get(to), w.int(PANEL_ROW_BYTES))),
      ...w.set(from, w.add(w.get(from), w.get(rowBytes))),
    ]);
  kernel.body = [
    ...w.set(to, w.get(target)),
    ...w.countUp(column, w.int(0), w.get(columns), PANEL_COLUMNS, [
      ...w.set(from, w.add(w.get(source), w.multiply(w.get(column), w.get(columnBytes)))),
      ...w.when(w.isAtLeast(w.int(4), w.get(columnBytes)), eachRow(copyContiguous), eachRow(copyStrided)),
    ]),
  ];
  return kernel;
}

/** The pointers and sums one tile of `rows` × `panels` works with. */
interface Tile {
  readonly rows: number;
  readonly panels: number;
  readonly sums: readonly Local[];
}

/**
 * product(rows, columns, depth, left, leftRowBytes, leftColumnBytes, packed, target, targetRowBytes, accumulate):
 * target (+)= left · packed; `columns` is a multiple of 8.
 */
function productKernel(): KernelFunction {
  const kernel = new KernelFunction('product', 10);
  const [rows, columns, depth, left, leftRowBytes, leftColumnBytes, packed, target, targetRowBytes, accumulate] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
  ];
  const names = ['block', 'blockEnd', 'column', 'row', 'k', 'a', 'b', 'c', 'panel', 'panelBytes'] as const;
  const v = Object.fromEntries(names.map((name) => [name, kernel.local(w.I32)])) as Record<
    (typeof names)[number],
    Local
  >;
  const pointer = kernel.local(w.I32);
  const factor = kernel.local(w.V128);
  const panelVectors = [kernel.local(w.V128), kernel.local(w.V128)];
  const sums = Array.from({ length: 8 }, () => kernel.local(w.V128));

  const overRows = (tile: Tile, each: (row: number) => Code, start: Local, stride: number): Code => [
    ...w.set(pointer, w.get(start)),
    ...Array.from({ length: tile.rows }, (_, r) => [
      ...each(r),
      ...(r + 1 < tile.rows ? w.set(pointer, w.add(w.get(pointer), w.get(stride))) : []),
    ]).flat(),
  ];
  const vectors = (tile: Tile): number => tile.panels * 2;
  const step = (tile: Tile): Code => [
    ...(tile.panels === 1 ? [0, 1].flatMap((i) => w.set(panelVectors[i]!, w.load4(w.get(v.b), 16 * i))) : []),
    ...overRows(
      tile,
      (r) => [
        ...w.set(factor, w.loadSplat(w.get(pointer))),
        ...Array.from({ length: vectors(tile) }, (_, i) => {
          const sum = tile.sums[r * vectors(tile) + i]!;
          const panelVector = tile.panels === 1 ? w.get(panelVectors[i]!) : wideLoad(i);
          return w.set(sum, w.add4(w.get(sum), w.multiply4(w.get(factor), panelVector)));
        }).flat(),
      ],
      v.a,
      leftRowBytes,
    ),
    ...w.set(v.a, w.add(w.get(v.a), w.get(leftColumnBytes))),
    ...w.set(v.b, w.add(w.get(v.b), w.int(PANEL_ROW_BYTES))),
  ];
  // Panel p of a wide tile lies p × panelBytes further on.
  const wideLoad = (i: number): Code => {
    const panel = i >> 1;
    let address = w.get(v.b);
    for (let p = 0; p < panel; p++) address = w.add(address, w.get(v.panelBytes));
    return w.load4(address, 16 * (i & 1));
  };
  const tileCode = (tile: Tile): Code => [
    ...w.set(v.c, w.add(w.get(target), w.add(w.multiply(w.get(v.row), w.get(targetRowBytes)), shl2(w.get(v.column))))),
    ...w.when(
      w.get(accumulate),
      overRows(
        tile,
        (r) =>
          Array.from({ length: vectors(tile) }, (_, i) =>
            w.set(tile.sums[r * vectors(tile) + i]!, w.load4(w.get(pointer), 16 * i)),
          ).flat(),
        v.c,
        targetRowBytes,
      ),
      tile.sums.flatMap((sum) => w.set(sum, w.floats4(0))),
    ),
    ...w.set(v.a, w.add(w.get(left), w.multiply(w.get(v.row), w.get(leftRowBytes)))),
    ...w.set(v.b, w.get(v.panel)),
    ...w.countUp(v.k, w.int(0), w.get(depth), 1, step(tile)),
    ...overRows(
      tile,
      (r) =>
        Array.from({ length: vectors(tile) }, (_, i) =>
          w.store4(w.get(pointer), w.get(tile.sums[r * vectors(tile) + i]!), 16 * i),
        ).flat(),
      v.c,
      targetRowBytes,
    ),
  ];
  const narrow = { rows: TILE_ROWS, panels: 1, sums };
  const single = { rows: 1, panels: 1, sums: sums.slice(0, 2) };
  const wide = { rows: 1, panels: WIDE_PANELS, sums };
  const startPanel = w.set(v.panel, w.add(w.get(packed), w.multiply(w.get(v.column), shl2(w.get(depth)))));
  kernel.body = [
    ...w.set(v.panelBytes, w.multiply(w.get(depth), w.int(PANEL_ROW_BYTES))),
    ...w.when(
      w.isAtLeast(w.int(TILE_ROWS - 1), w.get(rows)),
      // Few rows: whole row after row, in wide tiles while they fit.
      w.countUp(v.row, w.int(0), w.get(rows), 1, [
        ...w.countUp(v.column, w.int(0), w.get(columns), WIDE_PANELS * PANEL_COLUMNS, [
          ...startPanel,
          ...tileCode(wide),
        ]),
        ...w.countUp(v.column, undefined, w.get(columns), PANEL_COLUMNS, [...startPanel, ...tileCode(single)]),
      ]),
      w.countUp(v.block, w.int(0), w.add(w.get(rows), w.int(BLOCK_ROWS - 1)), BLOCK_ROWS, [
        ...w.set(v.blockEnd, w.smaller(w.add(w.get(v.block), w.int(BLOCK_ROWS)), w.get(rows))),
        ...w.countUp(v.column, w.int(0), w.get(columns), PANEL_COLUMNS, [
          ...startPanel,
          ...w.countUp(v.row, w.get(v.block), w.get(v.blockEnd), TILE_ROWS, tileCode(narrow)),
          ...w.countUp(v.row, undefined, w.get(v.blockEnd), 1, tileCode(single)),
        ]),
      ]),
    ),
  ];
  return kernel;
}

function shl2(value: Code): Code {
  return w.multiply(value, w.int(4));
}

/**
 * exponentials(matrix, rows, columns, rowBytes, maxima, sums): each row becomes exp(x − max of the row); the maximum
 * and the sum of the row's exponentials go to their arrays. `columns` is a multiple of 4.
 *
 * exp(x) = 2^n · e^r with n = round(x / ln 2), |r| ≤ ln 2 / 2, e^r by its Taylor polynomial of degree 6 (relative error
 * below 2e-7), after Cephes expf.
 */
function exponentialsKernel(): KernelFunction {
  const kernel = new KernelFunction('exponentials', 6);
  const [matrix, rows, columns, rowBytes, maxima, sums] = [0, 1, 2, 3, 4, 5];
  const row = kernel.local(w.I32);
  const column = kernel.local(w.I32);
  const pointer = kernel.local(w.I32);
  const extreme = kernel.local(w.V128);
  const x = kernel.local(w.V128);
  const n = kernel.local(w.V128);
  const sum = kernel.local(w.V128);
  const over = (body: Code): Code => [
    ...w.set(pointer, w.add(w.get(matrix), w.multiply(w.get(row), w.get(rowBytes)))),
    ...w.countUp(column, w.int(0), w.get(columns), 4, [...body, ...w.set(pointer, w.add(w.get(pointer), w.int(16)))]),
  ];
  const fold = (local: Local, operation: (left: Code, right: Code) => Code): Code => [
    ...w.set(local, operation(w.get(local), w.reorder4(w.get(local), [2, 3, 0, 1]))),
    ...w.set(local, operation(w.get(local), w.reorder4(w.get(local), [1, 0, 3, 2]))),
  ];
  const TAYLOR = [1 / 720, 1 / 120, 1 / 24, 1 / 6, 0.5, 1, 1];
  const polynomial = TAYLOR.slice(1).reduce<Code>(
    (inner, coefficient) => w.add4(w.multiply4(inner, w.get(x)), w.floats4(coefficient)),
    w.floats4(TAYLOR[0]!),
  );
  const power = w.shift4(w.addIntegers4(w.toIntegers4(w.get(n)), w.integers4(127)), 23);
  const LN2_HIGH = 0.693359375;
  const LN2_LOW = -2.1219444e-4;
  const exponential = [
    ...w.set(x, w.most4(w.subtract4(w.load4(w.get(pointer)), w.get(extreme)), w.floats4(-87))),
    ...w.set(n, w.nearest4(w.multiply4(w.get(x), w.floats4(Math.LOG2E)))),
    ...w.set(x, w.subtract4(w.get(x), w.multiply4(w.get(n), w.floats4(LN2_HIGH)))),
    ...w.set(x, w.subtract4(w.get(x), w.multiply4(w.get(n), w.floats4(LN2_LOW)))),
    ...w.set(x, w.multiply4(polynomial, power)),
    ...w.store4(w.get(pointer), w.get(x)),
    ...w.set(sum, w.add4(w.get(sum), w.get(x))),
  ];
  const rowAddress = (array: number): Code => w.add(w.get(array), shl2(w.get(row)));
  kernel.body = w.countUp(row, w.int(0), w.get(rows), 1, [
    ...w.set(extreme, w.floats4(-3e38)),
    ...over(w.set(extreme, w.most4(w.get(extreme), w.load4(w.get(pointer))))),
    ...fold(extreme, w.most4),
    ...w.set(sum, w.floats4(0)),
    ...over(exponential),
    ...fold(sum, w.add4),
    ...w.storeLane0(rowAddress(maxima), w.get(extreme)),
    ...w.storeLane0(rowAddress(sums), w.get(sum)),
  ]);
  return kernel;
}
