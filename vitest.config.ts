/** Tests run in forked processes: the embedded warehouse and LMDB do not survive worker threads. */
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 30_000,
    reporters: ['default', './scripts/vitest-reporter.mjs'],
  },
});
