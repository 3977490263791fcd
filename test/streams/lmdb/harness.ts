/** Opens embedded storage in a directory of its own, which goes with the test. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../../streams/clock.js';
import { openEmbeddedStorage } from '../../../streams/lmdb/index.js';
import type { EmbeddedStorage, EmbeddedStorageOptions } from '../../../streams/lmdb/index.js';
import { seededRandom } from '../../../streams/random.js';

export const TOMBSTONE_GRACE_MS = 1_000;

export interface EmbeddedHarness {
  readonly directory: string;
  storage(): EmbeddedStorage;
  reopen(): Promise<EmbeddedStorage>;
  close(): Promise<void>;
}

export async function openEmbedded(
  clock: Clock,
  options: Partial<EmbeddedStorageOptions> = {},
): Promise<EmbeddedHarness> {
  const directory = mkdtempSync(join(tmpdir(), 'freshet-lmdb-'));
  const random = seededRandom(directory);
  const open = (): Promise<EmbeddedStorage> =>
    openEmbeddedStorage({ directory, sync: 'always', clock, random, tombstoneGraceMs: TOMBSTONE_GRACE_MS, ...options });
  let storage = await open();
  return {
    directory,
    storage: () => storage,
    reopen: async () => {
      await storage.close();
      storage = await open();
      return storage;
    },
    close: async () => {
      await storage.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
