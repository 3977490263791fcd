import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isEngineError } from '../../../schemas/errors.js';
import { systemClock } from '../../../streams/clock.js';
import { openEmbeddedStorage } from '../../../streams/lmdb/index.js';
import type { LogRecord } from '../../../streams/log/event-log.js';
import type { EmbeddedStorage } from '../../../streams/lmdb/index.js';
import { seededRandom } from '../../../streams/random.js';
import { buildChild, startChild } from './child.js';

const KILLS = 6;
const ALL = { recordsMax: 1_000_000, bytesMax: 2 ** 30 };
const task = { stage: 'counter', partition: 0 };

let bundle: string;
let directory: string;
const random = seededRandom('crash test');

const open = (): Promise<EmbeddedStorage> =>
  openEmbeddedStorage({ directory, sync: 'always', clock: systemClock, random });

beforeAll(async () => {
  bundle = await buildChild('crash-writer');
  directory = mkdtempSync(join(tmpdir(), 'freshet-crash-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe('an embedded storage whose process is killed', () => {
  it.each(['always', 'interval'])('keeps what it acknowledged, whole, over many kills (sync %s)', async (sync) => {
    for (let i = 0; i < KILLS; i++) {
      const child = startChild(bundle, directory, sync);
      await child.line('flush');
      await systemClock.sleep(20 + random.int(100));
      await child.kill();
      await verify(child.lines);
    }
  });
});

async function verify(lines: readonly string[]): Promise<void> {
  const last = (word: string): number => Number(lines.findLast((line) => line.startsWith(word))?.split(' ')[1] ?? -1);
  const { log, store, close } = await open();
  const appended = (await log.read('appended', 0, 0, ALL)).records;
  expect(appended.length).toBeGreaterThan(last('append'));
  const isWhole = ({ key, offset, value }: LogRecord, i: number): boolean =>
    key === String(i) && offset === i && value.length === 200;
  expect(appended.find((record, i) => !isWhole(record, i))).toBeUndefined();

  const head = (await store.head(task))!;
  expect(head.offset).toBeGreaterThanOrEqual(last('flush'));
  const outputs = (await log.read('outputs', 0, 0, ALL)).records;
  expect(outputs).toHaveLength(head.offset);
  expect(outputs.find(({ key }, i) => key !== String(i + 1))).toBeUndefined();
  const rows: string[] = [];
  for await (const [, value] of store.scan(task)) rows.push(value.toString());
  expect(rows).toEqual(Array.from({ length: 50 }, () => String(head.offset)));
  const { timers } = await store.prefetch(task, { keys: [], timersBefore: Infinity, timersMax: 10 });
  expect(timers.map(({ time }) => time)).toEqual([head.offset]);
  await close();
}

describe('the lock of a data directory', () => {
  it('names the process that holds it, and falls when that process is killed', async () => {
    const child = startChild(bundle, directory, 'always');
    await child.line('ready');
    const error = await open().catch((thrown: unknown) => thrown);
    expect(isEngineError(error, 'DATA_DIRECTORY_LOCKED') && error.context['pid']).toBe(child.process.pid);
    await child.kill();
    await (await open()).close();
  });

  it('keeps the same process from opening a directory twice, until it is closed', async () => {
    const first = await open();
    expect(isEngineError(await open().catch((thrown: unknown) => thrown), 'DATA_DIRECTORY_LOCKED')).toBe(true);
    await first.close();
    await (await open()).close();
  });

  it('sees through a reused pid, and respects a holder in another container while its heart beats', async () => {
    const path = join(directory, 'owner.lock');
    const storage = await open();
    const holder = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    await storage.close();
    writeFileSync(path, JSON.stringify({ ...holder, start: '1' }));
    await (await open()).close();
    writeFileSync(path, JSON.stringify({ ...holder, namespace: 'pid:[1]' }));
    expect(isEngineError(await open().catch((thrown: unknown) => thrown), 'DATA_DIRECTORY_LOCKED')).toBe(true);
    writeFileSync(path, JSON.stringify({ ...holder, boot: 'an earlier one' }));
    await (await open()).close();
  });

  it('is given to exactly one of many that open at once after a crash', async () => {
    const child = startChild(bundle, directory, 'always');
    await child.line('ready');
    await child.kill();
    const rivals = Array.from({ length: 4 }, () => startChild(bundle, directory, 'always'));
    const outcomes = await Promise.all(
      rivals.map((rival) =>
        rival.line('ready').then(
          () => true,
          () => false,
        ),
      ),
    );
    expect(outcomes.filter(Boolean)).toHaveLength(1);
    await Promise.all(rivals.map((rival) => rival.kill()));
  });
});
