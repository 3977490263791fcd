import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runScript } from '../run-script.js';
import { describeWithKafka, describeWithRedis } from './needs.js';
import { startKafka } from './kafka.js';
import { startRedis, startRedisCluster } from './redis.js';
import { createServerDirectory, removeServerDirectory, WATCHED } from './server-process.js';

describeWithRedis('Redis under test', () => {
  it('starts a Redis server, kills it, brings it back with its data, and leaves nothing', async () => {
    const server = await startRedis();
    expect(server.process.isRunning).toBe(true);
    await server.process.kill();
    expect(server.process.isRunning).toBe(false);
    server.process.restart();
    await server.stop();
    expect(existsSync(server.directory)).toBe(false);
  });

  it('starts a Redis cluster with replicas', async () => {
    const cluster = await startRedisCluster({ masters: 3, replicasPerMaster: 1 });
    expect(new Set(cluster.addresses).size).toBe(6);
    await cluster.stop();
    expect(cluster.nodes.every(({ process }) => !process.isRunning)).toBe(true);
  });
});

describeWithKafka('Kafka under test', () => {
  it('starts three Kafka brokers, of which one may go and come back', async () => {
    const server = await startKafka({ brokers: 3 });
    const [first] = server.nodes;
    await first!.process.kill();
    first!.process.restart();
    await server.ready();
    await server.stop();
    expect(existsSync(server.directory)).toBe(false);
  });
});

describe('a bound server', () => {
  it('ends when its starter is killed', async (context) => {
    if (!existsSync('/proc')) context.skip('there is no /proc to look for processes in');
    const directory = createServerDirectory('orphan');
    const script = join(mkdtempSync(join(tmpdir(), 'freshet-starter-')), 'starter.cjs');
    const command = JSON.stringify(['-c', WATCHED, 'sleep', 'sleep', '600']);
    const options = JSON.stringify({ cwd: directory, stdio: ['pipe', 'ignore', 'ignore'] });
    writeFileSync(
      script,
      `const c = require('node:child_process').spawn('/bin/sh', ${command}, ${options}); console.log(c.pid);`,
    );
    const starter = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const pid = await new Promise<number>((resolve) => starter.stdout.once('data', (text) => resolve(Number(text))));
    expect(worksIn(pid, directory)).toBe(true);
    starter.kill('SIGKILL');
    await expect.poll(() => worksIn(pid, directory)).toBe(false);
    removeServerDirectory(directory);
    rmSync(join(script, '..'), { recursive: true });
  });

  it('is waited for until it is gone by a starter that has nothing else to do', async () => {
    const directory = createServerDirectory('last');
    const starter = `
      import { ServerProcess } from './server-process.ts';
      const { directory } = ${JSON.stringify({ directory })};
      const server = ServerProcess.start({ name: 'sleeper', program: 'sleep', args: ['600'], directory });
      await server.kill();
      console.log('gone');`;
    expect(await runScript(starter, import.meta.dirname)).toBe('gone\n');
    removeServerDirectory(directory);
  });
});

function worksIn(pid: number, directory: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/cwd`) === directory;
  } catch {
    return false;
  }
}
