/**
 * Networks in ONNX, run by onnxruntime: the one file that imports it.
 *
 * Invariant: a network that is missing, damaged or of another shape is a MODEL_INVALID that names the file. A session is
 * closed once, by whoever opened it; runs of one session may overlap.
 */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { EngineError } from '../../../../schemas/errors.js';

export interface OnnxArray {
  readonly values: Float32Array | BigInt64Array;
  readonly shape: readonly number[];
}

export interface FloatArray {
  readonly values: Float32Array;
  readonly shape: readonly number[];
}

export interface OnnxNetwork {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  /** One output, by name. Throws MODEL_INVALID when the network cannot take the inputs or gives no floats. */
  run(inputs: Readonly<Record<string, OnnxArray>>, output: string): Promise<FloatArray>;
  close(): Promise<void>;
}

export async function openNetwork(path: string, threads: number): Promise<OnnxNetwork> {
  let session: InferenceSession;
  try {
    session = await InferenceSession.create(path, { intraOpNumThreads: threads, logSeverityLevel: 4 });
  } catch (cause) {
    throw new EngineError('MODEL_INVALID', `'${path}' is not a network in ONNX that can be opened.`, { cause });
  }
  return {
    inputNames: session.inputNames,
    outputNames: session.outputNames,
    run: async (inputs, output) => {
      const feeds = Object.fromEntries(Object.entries(inputs).map(([name, array]) => [name, tensorOf(array)]));
      let result: Tensor | undefined;
      try {
        result = (await session.run(feeds, [output]))[output];
      } catch (cause) {
        throw new EngineError('MODEL_INVALID', `Network '${path}' does not take the inputs it is given.`, { cause });
      }
      if (result?.data instanceof Float32Array) return { values: result.data, shape: result.dims };
      throw new EngineError('MODEL_INVALID', `Output '${output}' of network '${path}' is not of 32-bit floats.`);
    },
    close: () => session.release(),
  };
}

function tensorOf({ values, shape }: OnnxArray): Tensor {
  if (values instanceof Float32Array) return new Tensor('float32', values, shape);
  return new Tensor('int64', values, shape);
}
