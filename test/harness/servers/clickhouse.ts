/**
 * ClickHouse's HTTP interface for developers and tests: chDB, which is ClickHouse, kept by a process of its own.
 *
 * No server program is to be had from package registries. The keeper (`keepClickhouse`) runs until SIGTERM and leaves the
 * address in a file of its directory; `startClickhouse` starts one and waits for that.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../../streams/clock.js';
import { silentLogger } from '../../../streams/logger.js';
import { systemRandom } from '../../../streams/random.js';
import { ChdbSupervisor } from '../../../streams/warehouse/chdb-supervisor.js';
import { createServerDirectory, removeServerDirectory, ServerProcess } from './server-process.js';

export interface ClickhouseAddress {
  readonly url: string;
  readonly username: string;
  readonly password: string;
}

export interface ClickhouseServer {
  readonly address: ClickhouseAddress;
  readonly process: ServerProcess;
  readonly directory: string;
  stop(): Promise<void>;
}

const ADDRESS_FILE = 'address.json';

/** Starts a keeper: `program` is a script that calls `keepClickhouse` with its last argument. */
export async function startClickhouse(program: readonly string[], detached = false): Promise<ClickhouseServer> {
  const directory = createServerDirectory('clickhouse');
  const args = [...program, directory];
  const server = ServerProcess.start({ name: 'clickhouse', program: process.execPath, args, directory, detached });
  const stop = async (): Promise<void> => {
    await server.stop();
    removeServerDirectory(directory);
  };
  const file = join(directory, ADDRESS_FILE);
  try {
    await server.ready(() =>
      existsSync(file) ? Promise.resolve() : Promise.reject(new Error('it has no address yet')),
    );
  } catch (error) {
    await stop();
    throw error;
  }
  const address = JSON.parse(readFileSync(file, 'utf8')) as ClickhouseAddress;
  return { address, process: server, directory, stop };
}

/** Resolves when it was told to end. */
export async function keepClickhouse(directory: string): Promise<void> {
  const data = join(directory, 'data');
  mkdirSync(data, { recursive: true });
  const common = { clock: systemClock, logger: silentLogger, random: systemRandom() };
  const supervisor = await ChdbSupervisor.start({ directory: data, ...common });
  const { url, username, password } = await supervisor.endpoint();
  const file = join(directory, ADDRESS_FILE);
  writeFileSync(`${file}.new`, JSON.stringify({ url, username, password }), { mode: 0o600 });
  renameSync(`${file}.new`, file);
  await new Promise<void>((resolve) => {
    process.once('SIGTERM', resolve);
    process.once('SIGINT', resolve);
  });
  await supervisor.close();
}
