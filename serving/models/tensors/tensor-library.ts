/**
 * TensorFlow.js with the best backend present; the one file that imports it.
 *
 * The order is tensorflow-gpu (package @tensorflow/tfjs-node-gpu), tensorflow (@tensorflow/tfjs-node), wasm, cpu. The
 * native packages are optional: they are taken when they are installed and their addon loads (README.md tells how to
 * build it without its download). The backend is said in the log once it is chosen.
 *
 * Invariant: the library is one for the process, as its engine is: all callers share the backend that was opened first,
 * unless one asks for another by name.
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type * as Tensorflow from '@tensorflow/tfjs';
import { EngineError } from '../../../schemas/errors.js';
import type { Logger } from '../../../streams/logger.js';

export type TensorBackend = 'tensorflow-gpu' | 'tensorflow' | 'wasm' | 'cpu';

/** Best first. */
export const TENSOR_BACKENDS: readonly TensorBackend[] = ['tensorflow-gpu', 'tensorflow', 'wasm', 'cpu'];

export type Tensor = Tensorflow.Tensor;
export type Tensor1D = Tensorflow.Tensor1D;
export type Tensor2D = Tensorflow.Tensor2D;
export type TensorVariable = Tensorflow.Variable;

export interface TensorLibrary {
  readonly backend: TensorBackend;
  readonly tf: typeof Tensorflow;
}

export interface TensorOptions {
  readonly logger: Logger;
  /** `auto` is the best one present; a backend asked for by name and not present is BACKEND_UNAVAILABLE. */
  readonly backend?: TensorBackend | 'auto';
  /** Threads of the wasm backend; the native ones take what the machine has. */
  readonly threads?: number;
}

const NATIVE_PACKAGES = { 'tensorflow-gpu': '@tensorflow/tfjs-node-gpu', tensorflow: '@tensorflow/tfjs-node' } as const;

let opened: TensorLibrary | undefined;

/** Opens the library, or returns the one that is open. */
export async function openTensors(options: TensorOptions): Promise<TensorLibrary> {
  const { backend = 'auto' } = options;
  if (opened !== undefined && (backend === 'auto' || backend === opened.backend)) return opened;
  const faults: string[] = [];
  for (const candidate of backend === 'auto' ? TENSOR_BACKENDS : [backend]) {
    try {
      opened = await open(candidate, options);
      options.logger.info('Tensor backend chosen', { backend: candidate, skipped: faults });
      return opened;
    } catch (error) {
      faults.push(`${candidate}: ${firstLine(error)}`);
    }
  }
  throw new EngineError('BACKEND_UNAVAILABLE', `No tensor backend could be opened. ${faults.join('; ')}`);
}

async function open(backend: TensorBackend, options: TensorOptions): Promise<TensorLibrary> {
  if (backend === 'tensorflow' || backend === 'tensorflow-gpu') {
    // Not known to the compiler: an optional package need not be installed.
    const name: string = NATIVE_PACKAGES[backend];
    const native = ((await import(name)) as { default: typeof Tensorflow }).default;
    return use(native, backend, 'tensorflow');
  }
  const { default: tf } = (await import('@tensorflow/tfjs')) as unknown as { default: typeof Tensorflow };
  if (backend === 'wasm') {
    const wasm = await import('@tensorflow/tfjs-backend-wasm');
    const binaries = dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm'));
    if (tf.findBackend('wasm') === null) {
      wasm.setWasmPaths(join(binaries, '/'));
      wasm.setThreadsCount(options.threads ?? 1);
    }
  }
  return use(tf, backend, backend);
}

async function use(tf: typeof Tensorflow, backend: TensorBackend, registered: string): Promise<TensorLibrary> {
  if (!(await tf.setBackend(registered))) throw new Error(`Backend ${registered} did not start`);
  await tf.ready();
  if (backend === 'wasm' || backend === 'cpu') registerSegmentSum(tf, backend);
  return { backend, tf };
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0]!;
}

/** What both backends offer, of what tfjs-core's KernelBackend leaves out. */
interface ReadableBackend {
  readSync(dataId: object): Float32Array | Int32Array;
  makeTensorInfo?(shape: number[], dtype: string, values: Float32Array): Tensorflow.TensorInfo;
  makeOutput?(shape: number[], dtype: string): Tensorflow.TensorInfo;
  typedArrayFromHeap?(tensor: Tensorflow.TensorInfo): Float32Array;
}

const KERNEL = 'UnsortedSegmentSum';

/**
 * UnsortedSegmentSum, the gradient of looking up rows, which wasm lacks and cpu has in quadratic time: one pass in plain
 * JavaScript. A row whose segment id is negative or too large is left out, as on all other backends. Idempotent.
 */
function registerSegmentSum(tf: typeof Tensorflow, backendName: 'wasm' | 'cpu'): void {
  if (tf.getKernel(KERNEL, backendName) !== undefined && tf.getKernel(KERNEL, backendName) !== null) {
    tf.unregisterKernel(KERNEL, backendName);
  }
  tf.registerKernel({
    kernelName: KERNEL,
    backendName,
    kernelFunc: ({ inputs, backend, attrs }) => {
      const { x, segmentIds } = inputs as unknown as Record<'x' | 'segmentIds', Tensorflow.TensorInfo>;
      const { numSegments } = attrs as unknown as { numSegments: number };
      const readable = backend as ReadableBackend;
      const ids = readable.readSync(segmentIds.dataId);
      const sums = sumSegments(readable.readSync(x.dataId), ids, numSegments);
      const shape = [numSegments, ...x.shape.slice(segmentIds.shape.length)];
      if (readable.makeTensorInfo !== undefined) return readable.makeTensorInfo(shape, 'float32', sums);
      const output = readable.makeOutput!(shape, 'float32');
      readable.typedArrayFromHeap!(output).set(sums);
      return output;
    },
  });
}

/** rows [n × width] by segment ids [n] -> sums [segments × width]. */
function sumSegments(rows: Float32Array | Int32Array, ids: Float32Array | Int32Array, segments: number): Float32Array {
  const width = ids.length === 0 ? 0 : rows.length / ids.length;
  const sums = new Float32Array(segments * width);
  for (let row = 0; row < ids.length; row++) {
    const segment = ids[row]!;
    if (segment < 0 || segment >= segments) continue;
    const from = row * width;
    const to = segment * width;
    for (let i = 0; i < width; i++) sums[to + i]! += rows[from + i]!;
  }
  return sums;
}
