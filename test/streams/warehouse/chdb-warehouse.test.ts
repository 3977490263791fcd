/**
 * The embedded warehouse: the port's conformance suite, and what only a child process can get wrong.
 *
 * The child runs compiled, so this needs an up-to-date dist/ (npm test builds first).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../streams/clock.js';
import { systemRandom } from '../../../streams/random.js';
import { silentLogger } from '../../../streams/logger.js';
import { ChdbSupervisor } from '../../../streams/warehouse/chdb-supervisor.js';
import { openChdbWarehouse } from '../../../streams/warehouse/chdb-warehouse.js';
import type { ClickhouseEndpoint } from '../../../streams/warehouse/clickhouse-client.js';
import { block, describeWarehouse, range } from './warehouse-conformance.js';

const cleanups: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function temporaryDirectory(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'freshet-warehouse-'));
}

describeWarehouse('embedded warehouse', async () => {
  const directory = await temporaryDirectory();
  let pid: number | undefined;
  return {
    open: () => openChdbWarehouse({ directory, clock: systemClock, onProcess: (id) => (pid = id) }),
    crash: () => {
      if (pid !== undefined) process.kill(pid, 'SIGKILL');
      pid = undefined;
    },
    dispose: () => rm(directory, { recursive: true, force: true }),
  };
});

describe('the process of the embedded warehouse', () => {
  async function open(directory?: string, options: { acceptDamage?: boolean } = {}) {
    const place = directory ?? (await temporaryDirectory());
    if (directory === undefined) cleanups.push(() => rm(place, { recursive: true, force: true }));
    const pids: number[] = [];
    const warehouse = await openChdbWarehouse({
      directory: place,
      clock: systemClock,
      onProcess: (pid) => pids.push(pid),
      lockWaitMs: 0,
      ...options,
    });
    cleanups.push(() => warehouse.close());
    return { warehouse, pids, directory: place };
  }

  it('refuses a directory that another process uses, and works when that one is gone', async () => {
    const first = await open();
    await expect(open(first.directory)).rejects.toMatchObject({
      code: 'DATA_DIRECTORY_LOCKED',
      message: expect.stringContaining(first.directory) as string,
    });
    expect(await first.warehouse.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await first.warehouse.close();
    const second = await open(first.directory);
    expect(await second.warehouse.query('SELECT 2 AS two')).toEqual([{ two: 2 }]);
  });

  it('refuses a file in place of its directory', async () => {
    const directory = await temporaryDirectory();
    cleanups.push(() => rm(directory, { recursive: true, force: true }));
    await writeFile(join(directory, 'file'), 'not a directory');
    await expect(open(join(directory, 'file'))).rejects.toMatchObject({ code: 'DATA_DIRECTORY_INVALID' });
  });

  it('says which directory is damaged when its tables cannot be loaded', async () => {
    const { warehouse, directory } = await open();
    await warehouse.execute('CREATE TABLE t (a UInt32) ENGINE = MergeTree ORDER BY a');
    await warehouse.close();
    const schemas = (await readdir(directory, { recursive: true })).filter((name) => name.endsWith('.sql'));
    for (const name of schemas) await writeFile(join(directory, name), 'ATTACH garbage \0');
    await expect(open(directory)).rejects.toMatchObject({
      code: 'DATA_DIRECTORY_INVALID',
      message: expect.stringContaining(directory) as string,
    });
  });

  it('opens with blocks that cannot be read only when told to', async () => {
    const { directory } = await withStoredBlock();
    for (const name of await storedFiles(directory)) await writeFile(join(directory, name), Buffer.alloc(2_000, 7));
    await expect(open(directory)).rejects.toMatchObject({
      code: 'DATA_DIRECTORY_INVALID',
      message: expect.stringContaining('freshet.t/detached/') as string,
    });
    const { warehouse } = await open(directory, { acceptDamage: true });
    expect(await warehouse.query('SELECT count() AS n FROM t')).toEqual([{ n: 0 }]);
  });

  it('says that stored data is damaged instead of returning part of it', async () => {
    const { directory } = await withStoredBlock();
    for (const name of await storedFiles(directory)) {
      const bytes = await readFile(join(directory, name));
      await writeFile(join(directory, name), bytes.fill(7, 1_000, 1_200));
    }
    const { warehouse } = await open(directory);
    await expect(warehouse.query('SELECT sum(a) AS s FROM t')).rejects.toMatchObject({
      code: 'DATA_DIRECTORY_INVALID',
    });
  });

  async function withStoredBlock(): Promise<{ directory: string }> {
    const { warehouse, directory } = await open();
    await warehouse.execute('CREATE TABLE t (a UInt32) ENGINE = MergeTree ORDER BY a');
    await warehouse.execute('INSERT INTO t SELECT sipHash64(number) FROM numbers(100000)');
    await warehouse.close();
    return { directory };
  }

  /** The columns of table t, which is by far the largest. */
  async function storedFiles(directory: string): Promise<string[]> {
    const names = (await readdir(directory, { recursive: true })).filter((name) => /^store.*data\.bin$/.test(name));
    const sizes = await Promise.all(names.map(async (name) => (await stat(join(directory, name))).size));
    return names.filter((_, i) => sizes[i]! > 10_000);
  }

  it('ignores the signals of Ctrl-C and of a service manager: its engine still has blocks to flush', async () => {
    const { warehouse, pids } = await open();
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.kill(pids[0]!, signal);
    await systemClock.sleep(100);
    expect(await warehouse.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect(pids).toHaveLength(1);
  });

  it('comes back after a crash; the call under way fails as retriable', async () => {
    const { warehouse, pids } = await open();
    const long = warehouse.query('SELECT count() FROM numbers(100000000000) WHERE sipHash64(number) = 1');
    await systemClock.sleep(200);
    process.kill(pids[0]!, 'SIGKILL');
    await expect(long).rejects.toMatchObject({ code: 'WAREHOUSE_UNAVAILABLE', retriable: true });
    // The process may be gone a moment before its end is known; what is asked then fails as retriable, too.
    await systemClock.sleep(100);
    expect(await warehouse.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect(pids).toHaveLength(2);
  });

  it('does not answer without its password', async () => {
    const { url, username, password } = await startProcess();
    const statusFor = async (user: string, secret: string) =>
      (await ask(`${url}/?query=SELECT+1`, user, secret)).status;
    expect(password.length).toBeGreaterThanOrEqual(32);
    expect(await statusFor(username, password)).toBe(200);
    expect(await statusFor(username, '')).toBe(401);
    expect(await statusFor('default', password)).toBe(401);
    expect((await fetch(`${url}/?query=SELECT+1`)).status).toBe(401);
  });

  it('refuses a statement while one of its id runs, also when the caller of that one gave up', async () => {
    const { url, username, password } = await startProcess();
    const caller = new AbortController();
    const slow = `${url}/?query_id=lane&max_execution_time=1&query=SELECT+count()+FROM+numbers(100000000000)`;
    const first = ask(slow, username, password, caller.signal).catch(() => undefined);
    await systemClock.sleep(200);
    caller.abort();
    await first;
    const second = (id: string) => ask(`${url}/?query_id=${id}&query=SELECT+1`, username, password);
    expect((await second('lane')).headers.get('x-clickhouse-exception-code')).toBe('216');
    expect((await second('other')).status).toBe(200);
    await systemClock.sleep(1_500);
    expect((await second('lane')).status).toBe(200);
  });

  async function startProcess(): Promise<ClickhouseEndpoint> {
    const directory = await temporaryDirectory();
    cleanups.push(() => rm(directory, { recursive: true, force: true }));
    const options = { directory, clock: systemClock, logger: silentLogger, random: systemRandom() };
    const supervisor = await ChdbSupervisor.start(options);
    cleanups.push(() => supervisor.close());
    return supervisor.endpoint();
  }

  function ask(url: string, user: string, secret: string, signal?: AbortSignal): Promise<Response> {
    const authorization = `Basic ${Buffer.from(`${user}:${secret}`).toString('base64')}`;
    return fetch(url, { method: 'POST', headers: { authorization }, ...(signal === undefined ? {} : { signal }) });
  }

  it('ends soon after its engine was killed, even while a statement runs', async () => {
    const directory = await temporaryDirectory();
    cleanups.push(() => rm(directory, { recursive: true, force: true }));
    const engine = startEngine(directory);
    const child = await pidFrom(engine);
    await systemClock.sleep(200);
    engine.kill('SIGKILL');
    let waitedMs = 0;
    for (; isAlive(child) && waitedMs < 15_000; waitedMs += 100) await systemClock.sleep(100);
    expect(isAlive(child)).toBe(false);
  });

  it('stores what was acknowledged although it is killed at once', async () => {
    const { warehouse, pids } = await open();
    await warehouse.execute(
      'CREATE TABLE t (_topic String, _partition UInt32, _offset UInt64, _outputId String, word String, score Float64, at DateTime64(3)) ENGINE = MergeTree ORDER BY _offset',
    );
    await warehouse.insert('t', block(0, 499), range(0, 499));
    process.kill(pids[0]!, 'SIGKILL');
    // Calls in the moment before the exit is noticed fail; the next child serves what the killed one acknowledged.
    while (pids.length < 2) await systemClock.sleep(20);
    expect(await warehouse.query('SELECT count() AS n FROM t')).toEqual([{ n: 500 }]);
  });
});

/** An engine in a process of its own, busy with a statement that takes for ever. */
function startEngine(directory: string): ChildProcess {
  const dist = (name: string): string => new URL(`../../../dist/streams/${name}.js`, import.meta.url).href;
  const script = `
    import { openChdbWarehouse } from ${JSON.stringify(dist('warehouse/chdb-warehouse'))};
    import { systemClock } from ${JSON.stringify(dist('clock'))};
    const warehouse = await openChdbWarehouse({ directory: ${JSON.stringify(directory)}, clock: systemClock,
      onProcess: (pid) => console.log(pid) });
    await warehouse.query('SELECT count() FROM numbers(100000000000) WHERE sipHash64(number) = 1');`;
  return spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
}

function pidFrom(engine: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    engine.stdout?.once('data', (said: Buffer) => resolve(Number(said.toString())));
    engine.once('exit', (status) => reject(new Error(`The engine ended with status ${status}`)));
  });
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
