/** The tensor backends that tests compare, and why one is left out. */
import {
  openTensors,
  type TensorBackend,
  type TensorLibrary,
} from '../../../../serving/models/tensors/tensor-library.js';
import { silentLogger } from '../../../../streams/logger.js';

export const COMPARED_BACKENDS = ['wasm', 'tensorflow'] as const;

/** The open library, or the reason why it is not there: only a native backend may be missing. */
export async function tryOpenBackend(backend: TensorBackend): Promise<TensorLibrary | string> {
  try {
    return await openTensors({ logger: silentLogger, backend });
  } catch (error) {
    if (backend === 'wasm' || backend === 'cpu') throw error;
    return `${(error as Error).message} (scripts/build-tfjs-node.sh builds it)`;
  }
}
