/** The simulated log and store keep the contracts of their ports when nothing goes wrong: only then do faults mean something. */
import { ManualClock, systemClock } from '../../streams/clock.js';
import { MemoryLog } from '../../streams/memory/memory-log.js';
import { seededRandom } from '../../streams/random.js';
import { describeLog } from '../streams/log/log-conformance.js';
import { describeStore } from '../streams/state/state-conformance.js';
import { Assignment } from './assignment.js';
import { FaultPlan } from './faults.js';
import { Process } from './process.js';
import { Scheduler } from './scheduler.js';
import { SimulatedLog } from './simulated-log.js';
import { SimulatedStore, StoreServer } from './simulated-store.js';

/** A world without faults whose time runs by itself until it is closed. */
function openWorld(clock: ManualClock, delivery: 'atomic' | 'outbox') {
  const random = seededRandom('conformance');
  const scheduler = new Scheduler();
  const faults = new FaultPlan(random);
  faults.stop();
  const network = { scheduler, faults, random, delayMsMax: 3 };
  const process = new Process('caller', network, () => undefined, false);
  const memory = new MemoryLog({ clock, tombstoneGraceMs: 1_000 });
  const assignment = new Assignment(random, faults, (topic) => memory.topic(topic).partitions);
  let isOpen = true;
  const run = async (): Promise<void> => {
    while (isOpen) {
      await scheduler.runUntil(scheduler.elapsedMs + 50);
      await systemClock.nextTurn();
    }
  };
  const running = run();
  return {
    log: new SimulatedLog(memory, process, network, assignment),
    store: new SimulatedStore(new StoreServer(delivery, memory), process),
    close: async () => {
      isOpen = false;
      await running;
    },
  };
}

describeLog('simulated', (clock) => Promise.resolve(openWorld(clock, 'outbox')), {
  cleans: true,
  tombstoneGraceMs: 1_000,
});

describeStore('simulated (outbox)', () => {
  const { store, close } = openWorld(new ManualClock(), 'outbox');
  return Promise.resolve({ store, close });
});

describeStore('simulated (atomic)', () => Promise.resolve(openWorld(new ManualClock(), 'atomic')));
