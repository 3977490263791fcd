/**
 * A thread of a kernel team (kernel-team.ts): takes calls off a shared list by a shared counter until none is left.
 *
 * Plain JavaScript, so that it starts alike from the sources, from the build, and under the test runner.
 */
import { parentPort, workerData } from 'node:worker_threads';

const { module, memory } = workerData;
const { exports } = new globalThis.WebAssembly.Instance(module, { kernels: { memory } });

parentPort.on('message', ({ calls, counter }) => {
  for (let i = Atomics.add(counter, 0, 1); i < calls.length; i = Atomics.add(counter, 0, 1)) {
    const [name, ...operands] = calls[i];
    exports[name](...operands);
  }
  parentPort.postMessage(undefined);
});
