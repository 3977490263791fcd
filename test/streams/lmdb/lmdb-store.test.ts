import { ManualClock } from '../../../streams/clock.js';
import { describeStore } from '../state/state-conformance.js';
import { openEmbedded } from './harness.js';

const policies = { durable: 'always', 'interval-synced': { intervalMs: 50 } } as const;

for (const [name, sync] of Object.entries(policies)) {
  describeStore(`LMDB (${name})`, async () => {
    const harness = await openEmbedded(new ManualClock(), { sync });
    const { log, store } = harness.storage();
    return { log, store, reopen: harness.reopen, close: harness.close };
  });
}
