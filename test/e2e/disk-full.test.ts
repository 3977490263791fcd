/**
 * A full disk under a running engine: writes are refused so that clients come again, nothing acknowledged is lost, and
 * when there is room it goes on by itself. The disk is a small one in memory, filled by a file beside the data.
 */
import { execFileSync } from 'node:child_process';
import { rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { countBy } from './data-sets.js';
import { killAll, removeTemporaryDirectories, startUp, temporaryDirectory, untilProcessed } from './freshet.js';
import { inspect, interactionsOf } from './inspect.js';
import { Producer } from './producer.js';
import { until } from './until.js';

const DISK_BYTES = 64 << 20;
const LEFT_BYTES = 14 << 20;
const REFUSALS = 20;
const mounted: string[] = [];

function mountSmallDisk(): string | undefined {
  const directory = temporaryDirectory();
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'tmpfs', directory], { stdio: 'pipe' });
  } catch {
    return undefined;
  }
  mounted.push(directory);
  return directory;
}

function freeBytes(directory: string): number {
  const { bavail, bsize } = statfsSync(directory);
  return bavail * bsize;
}

describe('an engine whose disk is full', () => {
  afterEach(async () => {
    await killAll();
    for (const directory of mounted.splice(0)) execFileSync('umount', ['--lazy', directory]);
  });
  afterAll(removeTemporaryDirectories);

  it.for([
    ['to the last byte', 0],
    // Covers what is taken between two looks at the disk, and what the stages make of it.
    ['up to the reserve', 10 << 20],
  ] as const)('%s says so, stays up, loses nothing, and goes on when there is room', async ([, reserve], context) => {
    const disk = mountSmallDisk() ?? context.skip('this process may not mount a small disk');
    const data = join(disk, 'data');
    const { url, process } = await startUp(data, '--set', `serving.freeDiskBytesMin=${reserve}`);
    const ballast = join(disk, 'ballast');
    writeFileSync(ballast, Buffer.alloc(freeBytes(disk) - LEFT_BYTES));

    const producer = new Producer('p', 50, 200);
    await until(
      'refusals',
      async () => {
        await producer.post(url, 60);
        return producer.refusals.length >= REFUSALS;
      },
      60_000,
    );
    const acknowledgedWhileFull = producer.acknowledged.size;
    expect(acknowledgedWhileFull).toBeGreaterThan(0);
    const kinds = new Set(producer.refusals.map(({ status, code, retryAfter }) => `${status} ${code} ${retryAfter}`));
    expect([...kinds].filter((kind) => !['503 STORAGE_FULL 1', '429 OVERLOADED 1'].includes(kind))).toEqual([]);
    expect(process.end).toBeUndefined();
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    if (reserve > 0) expect(freeBytes(disk)).toBeGreaterThan(0);

    rmSync(ballast);
    await until('writes to be taken again', () => producer.post(url, 60));
    await untilProcessed(url, 30_000);
    expect(producer.acknowledged.size).toBeGreaterThan(acknowledgedWhileFull);
    expect((await process.stop()).code).toBe(0);
    const users = await inspect(data, (inspection) => inspection.users());
    expect(countBy(users, ({ key }) => key, interactionsOf)).toEqual(producer.byUser());
  });
});
