/**
 * One directory, one process: a second one is told who holds it, and commands on a directory that `up` holds are
 * carried out there and answer as they would on a free one.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../streams/clock.js';
import {
  digestOf,
  FreshetProcess,
  killAll,
  removeTemporaryDirectories,
  resultOf,
  runFreshet,
  startUp,
  temporaryDirectory,
} from './freshet.js';

const ROWS = 400;
const MAPPING = `name: clicks
format: csv
interaction:
  userId: user
  itemId: item
  ts: { column: at, unit: ms }
  type: { constant: click }
`;

let files: string;
const mapping = (): string => join(files, 'clicks.yaml');
const clicks = (): string => join(files, 'clicks.csv');

/** Times just past: in a live engine no timer becomes due while the test runs. */
beforeAll(() => {
  files = temporaryDirectory();
  const start = systemClock.now() - 10 * 60_000;
  const rows = Array.from({ length: ROWS }, (_, i) => `u${i % 20},i${(i * 7) % 30},${start + i * 100}`);
  writeFileSync(clicks(), ['user,item,at', ...rows, 'u1,i1,never'].join('\n'));
  writeFileSync(mapping(), MAPPING);
});
afterEach(killAll);
afterAll(removeTemporaryDirectories);

describe('an engine that cannot start', () => {
  it('ends, though parts of it were running already', async () => {
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
    const { port } = holder.address() as AddressInfo;
    const second = await runFreshet('up', '--port', String(port), '--data', temporaryDirectory());
    holder.close();
    expect(second.code).toBe(1);
    expect(second.stderr).toMatch(/EADDRINUSE/);
  });
});

describe('a directory that a running engine holds', () => {
  it('is refused to a second engine, by the name of the process', async () => {
    const data = temporaryDirectory();
    const { process } = await startUp(data);
    const second = await runFreshet('up', '--port', '0', '--data', data);
    expect(second.code).toBe(1);
    expect(second.stderr).toMatch(new RegExp(`^freshet: DATA_DIRECTORY_LOCKED: .*process ${process.pid};`, 'm'));
    expect(process.end).toBeUndefined();
  });

  it('takes commands, with the answers that a free directory gives', async () => {
    const [free, held] = [temporaryDirectory(), temporaryDirectory()];
    const { process } = await startUp(held);
    const run = (data: string, ...args: string[]) => runFreshet(...args, '--data', data);
    for (const data of [free, held]) {
      const counts = await resultOf('import', clicks(), '--mapping', mapping(), '--data', data);
      expect(counts).toMatchObject({ rows: ROWS + 1, records: ROWS, rejected: 1 });
    }
    const usersOf = async (data: string) =>
      Object.entries(await digestOf(data)).filter(([name]) => name.startsWith('users/'));
    expect(await usersOf(held)).toEqual(await usersOf(free));
    for (const args of [
      ['state', 'get', 'users', 'u7'],
      ['state', 'get', 'users', 'nobody'],
      ['dead-letters', 'list'],
    ]) {
      const [left, right] = [await run(free, ...args), await run(held, ...args)];
      // What stage 1 reads of the other stage's tables meanwhile may differ: it is left out.
      const stable = ({ code, stdout }: { code: number | null; stdout: string }) => ({
        code,
        stdout: withoutVectors(stdout),
      });
      expect(stable(right)).toEqual(stable(left));
      expect(right.stderr).toContain('held by a running engine');
    }
    const again = await resultOf('import', clicks(), '--mapping', mapping(), '--data', held);
    expect(again).toMatchObject({ skipped: ROWS + 1, records: 0 });
    expect((await process.stop()).code).toBe(0);
    expect(existsSync(join(held, 'admin.json'))).toBe(false);
    expect(await usersOf(held)).toEqual(await usersOf(free));
  });

  it('held by a job, beside the address that a killed engine left behind, is told as held', async () => {
    const data = temporaryDirectory();
    const { process } = await startUp(data);
    await process.kill();
    expect(existsSync(join(data, 'admin.json'))).toBe(true);
    const job = new FreshetProcess(['replay', clicks(), '--mapping', mapping(), '--data', data, '--speed', '1x']);
    await job.holdsOrEnded(data);
    expect(job.end).toBeUndefined();
    const { code, stderr } = await runFreshet('state', 'digest', '--data', data);
    expect(stderr).toMatch(new RegExp(`^freshet: DATA_DIRECTORY_LOCKED: .*process ${job.pid};`, 'm'));
    expect(code).toBe(1);
    await job.kill();
    expect((await runFreshet('state', 'digest', '--data', data)).code).toBe(0);
  });
});

function withoutVectors(stdout: string): string {
  if (!stdout.startsWith('{"key"')) return stdout;
  const { operators, ...rest } = JSON.parse(stdout) as { operators: Record<string, unknown> };
  delete operators['user-embedding'];
  return JSON.stringify({ ...rest, operators });
}
