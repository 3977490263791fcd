import { describeLog } from '../log/log-conformance.js';
import { openEmbedded, TOMBSTONE_GRACE_MS } from './harness.js';

const policies = { durable: 'always', 'interval-synced': { intervalMs: 50 }, unsynced: 'none' } as const;

for (const [name, sync] of Object.entries(policies)) {
  describeLog(
    `LMDB (${name})`,
    async (clock) => {
      const harness = await openEmbedded(clock, { sync });
      return {
        log: harness.storage().log,
        reopen: async () => (await harness.reopen()).log,
        close: harness.close,
      };
    },
    { cleans: true, tombstoneGraceMs: TOMBSTONE_GRACE_MS },
  );
}
