/** Tests run in forked processes: the embedded warehouse and LMDB do not survive worker threads. */
import { configDefaults, defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // They start real servers: vitest.servers.config.ts, `npm run test:servers`.
    exclude: [...configDefaults.exclude, 'test/**/*.servers.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    // For what hangs; how long a test takes is the machine's business, and its disk's.
    testTimeout: 300_000,
    hookTimeout: 180_000,
    reporters: ['default', './scripts/vitest-reporter.mjs'],
  },
});
