/**
 * Kernels over compressed rows, as WebAssembly: sparse × dense products, and the two row problems of factorisations.
 *
 * Every kernel works on rows `first` to `last` of its target and writes no other, so that a team may share the rows out
 * in any way with the same result. Rows of dense matrices are a multiple of 16 floats wide (`ROW_FLOATS`), padded with
 * zeros: four vectors in one go, whose four independent sums hide the latency of the additions.
 *
 * Addresses are in bytes; nothing is checked here.
 */
import * as w from '../tensors/wasm-module.js';
import { type Code, KernelFunction, type Local } from '../tensors/wasm-module.js';

/** Dense rows are a multiple of this wide. */
export const ROW_FLOATS = 16;
const STEP_BYTES = ROW_FLOATS * 4;
const LANES = [0, 1, 2, 3] as const;

export function rowKernels(): readonly KernelFunction[] {
  return [sparseProductKernel(), confidenceRowsKernel(), nonNegativeRowsKernel()];
}

const shift = (value: Code): Code => w.multiply(value, w.int(4));
const element = (array: Local, index: Local): Code => w.add(w.get(array), shift(w.get(index)));

/** Loops and sums over dense rows of `width` bytes. */
class RowCode {
  readonly offset: Local;
  readonly sums: readonly Local[];

  constructor(
    readonly kernel: KernelFunction,
    readonly width: Local,
  ) {
    this.offset = kernel.local(w.I32);
    this.sums = LANES.map(() => kernel.local(w.V128));
  }

  at(row: Local): Code {
    return w.add(w.get(row), w.get(this.offset));
  }

  overRow(body: Code): Code {
    return w.countUp(this.offset, w.int(0), w.get(this.width), STEP_BYTES, body);
  }

  /** result = left · right, in all four lanes. */
  dot(result: Local, left: Local, right: Local): Code {
    const [a, b, c, d] = this.sums.map((sum) => w.get(sum));
    return [
      ...this.sums.flatMap((sum) => w.set(sum, w.floats4(0))),
      ...this.overRow(
        LANES.flatMap((i) =>
          w.set(
            this.sums[i]!,
            w.add4(w.get(this.sums[i]!), w.multiply4(w.load4(this.at(left), 16 * i), w.load4(this.at(right), 16 * i))),
          ),
        ),
      ),
      ...w.set(result, w.add4(w.add4(a!, b!), w.add4(c!, d!))),
      ...w.set(result, w.add4(w.get(result), w.reorder4(w.get(result), [2, 3, 0, 1]))),
      ...w.set(result, w.add4(w.get(result), w.reorder4(w.get(result), [1, 0, 3, 2]))),
    ];
  }

  /** target = value of each vector i of the row. */
  fill(target: Local, value: (i: number) => Code): Code {
    return this.overRow(LANES.flatMap((i) => w.store4(this.at(target), value(i), 16 * i)));
  }

  /** target += factor × source. */
  addScaled(target: Local, factor: Code, source: Local): Code {
    return this.fill(target, (i) =>
      w.add4(w.load4(this.at(target), 16 * i), w.multiply4(factor, w.load4(this.at(source), 16 * i))),
    );
  }
}

/**
 * sparseProduct(first, last, rowStart, columns, values, dense, target, width): target row r becomes
 * Σ over p in row r of values[p] · dense[columns[p]]. Dense and target rows are `width` bytes, one after another.
 */
function sparseProductKernel(): KernelFunction {
  const kernel = new KernelFunction('sparseProduct', 8);
  const [first, last, rowStart, columns, values, dense, target, width] = [0, 1, 2, 3, 4, 5, 6, 7];
  const [row, place, end, source] = [0, 1, 2, 3].map(() => kernel.local(w.I32)) as [Local, Local, Local, Local];
  const factor = kernel.local(w.V128);
  const sums = Array.from({ length: 8 }, () => kernel.local(w.V128));
  const offset = kernel.local(w.I32);
  const tile = (vectors: number): Code => [
    ...sums.slice(0, vectors).flatMap((sum) => w.set(sum, w.floats4(0))),
    ...w.countUp(place, w.loadInt(element(rowStart, row)), w.get(end), 1, [
      ...w.set(factor, w.loadSplat(element(values, place))),
      ...w.set(
        source,
        w.add(w.add(w.get(dense), w.get(offset)), w.multiply(w.loadInt(element(columns, place)), w.get(width))),
      ),
      ...sums
        .slice(0, vectors)
        .flatMap((sum, i) =>
          w.set(sum, w.add4(w.get(sum), w.multiply4(w.get(factor), w.load4(w.get(source), 16 * i)))),
        ),
    ]),
    ...w.set(source, w.add(w.add(w.get(target), w.get(offset)), w.multiply(w.get(row), w.get(width)))),
    ...sums.slice(0, vectors).flatMap((sum, i) => w.store4(w.get(source), w.get(sum), 16 * i)),
  ];
  kernel.body = w.countUp(row, w.get(first), w.get(last), 1, [
    ...w.set(end, w.loadInt(element(rowStart, row), 4)),
    ...w.countUp(offset, w.int(0), w.get(width), 2 * STEP_BYTES, tile(8)),
    ...w.countUp(offset, undefined, w.get(width), STEP_BYTES, tile(4)),
  ]);
  return kernel;
}

/**
 * confidenceRows(first, last, rowStart, columns, strengths, ridges, gram, others, target, width, steps, scratch):
 * improves row x of the target by `steps` steps of conjugate gradients on (G + λI + Σ s_p·y_p·y_pᵀ) x = Σ (1 + s_p) y_p,
 * where y_p is row columns[p] of `others`, s_p the strength, λ the row's ridge and G the gram matrix of all others.
 * A row without entries becomes zero. `scratch` has room for three rows.
 *
 * Takács, Pilászy, Tikk: "Applications of the Conjugate Gradient Method for Implicit Feedback Collaborative Filtering"
 * (2011); the start is the row as it is.
 */
function confidenceRowsKernel(): KernelFunction {
  const kernel = new KernelFunction('confidenceRows', 12);
  const [first, last, rowStart, columns, strengths, ridges, gram, others, target, width, steps, scratch] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
  ];
  const integers = [
    'row',
    'begin',
    'end',
    'place',
    'x',
    'y',
    'residual',
    'direction',
    'image',
    'step',
    'k',
    'g',
  ] as const;
  const v = Object.fromEntries(integers.map((name) => [name, kernel.local(w.I32)])) as Record<
    (typeof integers)[number],
    Local
  >;
  const vectors = ['ridge', 'strength', 'product', 'old', 'current', 'factor'] as const;
  const f = Object.fromEntries(vectors.map((name) => [name, kernel.local(w.V128)])) as Record<
    (typeof vectors)[number],
    Local
  >;
  const rows = new RowCode(kernel, width);
  const wide = [...rows.sums, ...LANES.map(() => kernel.local(w.V128))];

  /** image = (G + λI) · source, in tiles of as many columns as there are sums. */
  const gramTile = (source: Local, image: Local, count: number): Code => [
    ...wide.slice(0, count).flatMap((sum) => w.set(sum, w.floats4(0))),
    ...w.set(v.g, w.add(w.get(gram), w.get(rows.offset))),
    ...w.countUp(v.k, w.int(0), w.get(width), 4, [
      ...w.set(f.factor, w.loadSplat(w.add(w.get(source), w.get(v.k)))),
      ...wide
        .slice(0, count)
        .flatMap((sum, i) => w.set(sum, w.add4(w.get(sum), w.multiply4(w.get(f.factor), w.load4(w.get(v.g), 16 * i))))),
      ...w.set(v.g, w.add(w.get(v.g), w.get(width))),
    ]),
    ...wide
      .slice(0, count)
      .flatMap((sum, i) =>
        w.store4(
          rows.at(image),
          w.add4(w.get(sum), w.multiply4(w.get(f.ridge), w.load4(rows.at(source), 16 * i))),
          16 * i,
        ),
      ),
  ];
  const applyGram = (source: Local, image: Local): Code => [
    ...w.countUp(rows.offset, w.int(0), w.get(width), 2 * STEP_BYTES, gramTile(source, image, 8)),
    ...w.countUp(rows.offset, undefined, w.get(width), STEP_BYTES, gramTile(source, image, 4)),
  ];
  const overEntries = (body: Code): Code =>
    w.countUp(v.place, w.get(v.begin), w.get(v.end), 1, [
      ...w.set(v.y, w.add(w.get(others), w.multiply(w.loadInt(element(columns, v.place)), w.get(width)))),
      ...w.set(f.strength, w.loadSplat(element(strengths, v.place))),
      ...body,
    ]);
  const TINY = w.floats4(1e-30);
  const start: Code = [
    ...applyGram(v.x, v.residual),
    ...rows.fill(v.residual, (i) => w.subtract4(w.floats4(0), w.load4(rows.at(v.residual), 16 * i))),
    ...overEntries([
      ...rows.dot(f.product, v.y, v.x),
      ...w.set(
        f.factor,
        w.subtract4(w.add4(w.floats4(1), w.get(f.strength)), w.multiply4(w.get(f.strength), w.get(f.product))),
      ),
      ...rows.addScaled(v.residual, w.get(f.factor), v.y),
    ]),
    ...rows.fill(v.direction, (i) => w.load4(rows.at(v.residual), 16 * i)),
    ...rows.dot(f.old, v.residual, v.residual),
  ];
  const conjugateStep: Code = [
    ...applyGram(v.direction, v.image),
    ...overEntries([
      ...rows.dot(f.product, v.y, v.direction),
      ...w.set(f.factor, w.multiply4(w.get(f.strength), w.get(f.product))),
      ...rows.addScaled(v.image, w.get(f.factor), v.y),
    ]),
    ...rows.dot(f.product, v.direction, v.image),
    ...w.set(f.factor, w.divide4(w.get(f.old), w.add4(w.get(f.product), TINY))),
    ...rows.addScaled(v.x, w.get(f.factor), v.direction),
    ...w.set(f.factor, w.subtract4(w.floats4(0), w.get(f.factor))),
    ...rows.addScaled(v.residual, w.get(f.factor), v.image),
    ...rows.dot(f.current, v.residual, v.residual),
    ...w.set(f.factor, w.divide4(w.get(f.current), w.add4(w.get(f.old), TINY))),
    ...rows.fill(v.direction, (i) =>
      w.add4(w.load4(rows.at(v.residual), 16 * i), w.multiply4(w.get(f.factor), w.load4(rows.at(v.direction), 16 * i))),
    ),
    ...w.set(f.old, w.get(f.current)),
  ];
  kernel.body = [
    ...w.set(v.residual, w.get(scratch)),
    ...w.set(v.direction, w.add(w.get(v.residual), w.get(width))),
    ...w.set(v.image, w.add(w.get(v.direction), w.get(width))),
    ...w.countUp(v.row, w.get(first), w.get(last), 1, [
      ...w.set(v.begin, w.loadInt(element(rowStart, v.row))),
      ...w.set(v.end, w.loadInt(element(rowStart, v.row), 4)),
      ...w.set(v.x, w.add(w.get(target), w.multiply(w.get(v.row), w.get(width)))),
      ...w.set(f.ridge, w.loadSplat(element(ridges, v.row))),
      ...w.when(
        w.isAtLeast(w.get(v.begin), w.get(v.end)),
        rows.fill(v.x, () => w.floats4(0)),
        [...start, ...w.countUp(v.step, w.int(0), w.get(steps), 1, conjugateStep)],
      ),
    ]),
  ];
  return kernel;
}

/**
 * nonNegativeRows(first, last, numerators, gram, target, width, factors): one sweep of coordinate descent over each row x
 * for min ½ xᵀGx − bᵀx, x ≥ 0: x_k ← max(0, x_k + (b_k − G_k · x) / G_kk) for the first `factors` coordinates.
 *
 * Cichocki, Phan: "Fast Local Algorithms for Large Scale Nonnegative Matrix and Tensor Factorizations" (2009), HALS.
 */
function nonNegativeRowsKernel(): KernelFunction {
  const kernel = new KernelFunction('nonNegativeRows', 7);
  const [first, last, numerators, gram, target, width, factors] = [0, 1, 2, 3, 4, 5, 6];
  const [row, k, x, b, g] = [0, 1, 2, 3, 4].map(() => kernel.local(w.I32)) as [Local, Local, Local, Local, Local];
  const [product, value] = [kernel.local(w.V128), kernel.local(w.V128)];
  const rows = new RowCode(kernel, width);
  const change = w.divide4(w.subtract4(w.loadSplat(element(b, k)), w.get(product)), w.loadSplat(element(g, k)));
  kernel.body = w.countUp(row, w.get(first), w.get(last), 1, [
    ...w.set(x, w.add(w.get(target), w.multiply(w.get(row), w.get(width)))),
    ...w.set(b, w.add(w.get(numerators), w.multiply(w.get(row), w.get(width)))),
    ...w.set(g, w.get(gram)),
    ...w.countUp(k, w.int(0), w.get(factors), 1, [
      ...rows.dot(product, g, x),
      ...w.set(value, w.most4(w.floats4(0), w.add4(w.loadSplat(element(x, k)), change))),
      ...w.storeLane0(element(x, k), w.get(value)),
      ...w.set(g, w.add(w.get(g), w.get(width))),
    ]),
  ]);
  return kernel;
}
