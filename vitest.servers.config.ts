/** Tests that start real servers (Kafka, Redis): one file at a time, since each has servers of its own. */
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.servers.test.ts'],
    pool: 'forks',
    maxWorkers: 1,
    // For what hangs; how long a test takes is the machine's business, and its disk's.
    testTimeout: 300_000,
    hookTimeout: 180_000,
    reporters: ['default', './scripts/vitest-reporter.mjs'],
  },
});
