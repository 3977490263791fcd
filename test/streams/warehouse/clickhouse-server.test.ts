/**
 * The warehouse by URL: the port's conformance suite over ClickHouse's HTTP interface at an address, as a server has it.
 *
 * What listens there is chDB in a process of its own, which is ClickHouse, because no server program is to be had from
 * the package registries. The child runs compiled, so this needs an up-to-date dist/ (npm test builds first).
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runSql } from '../../../jobs/commands/sql.js';
import type { Terminal } from '../../../jobs/terminal.js';
import { openWarehouse } from '../../../jobs/warehouse/open-warehouse.js';
import { systemClock } from '../../../streams/clock.js';
import { silentLogger } from '../../../streams/logger.js';
import { systemRandom } from '../../../streams/random.js';
import { ChdbSupervisor } from '../../../streams/warehouse/chdb-supervisor.js';
import { openClickhouseServer } from '../../../streams/warehouse/clickhouse-server.js';
import { describeWarehouse } from './warehouse-conformance.js';

async function startServer() {
  const directory = await mkdtemp(join(tmpdir(), 'freshet-server-'));
  const supervisor = await ChdbSupervisor.start({
    directory,
    clock: systemClock,
    logger: silentLogger,
    random: systemRandom(),
  });
  return {
    server: await supervisor.endpoint(),
    stop: async () => {
      await supervisor.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

describeWarehouse('warehouse on a server', async () => {
  const { server, stop } = await startServer();
  return {
    open: () => openClickhouseServer({ ...server, database: 'freshet_test', clock: systemClock }),
    dispose: stop,
  };
});

describe('a server named by the configuration', () => {
  it('gets the tables and answers freshet sql, with nothing in the data directory', async () => {
    const { server, stop } = await startServer();
    const data = await mkdtemp(join(tmpdir(), 'freshet-sql-'));
    try {
      const options = { data, namespace: 'default', clock: systemClock, logger: silentLogger, server };
      const warehouse = await openWarehouse({ ...options, retentionDays: 30 });
      await warehouse.close();
      const lines: string[] = [];
      const terminal = { line: (text: string) => lines.push(text), say: () => undefined } as unknown as Terminal;
      const context = { terminal, clock: systemClock, logger: silentLogger, random: systemRandom() };
      const { url, username, password } = server;
      const set = [`warehouse.url=${url}`, `warehouse.username=${username}`, `warehouse.password=${password}`];
      await runSql(context, 'SELECT version FROM _freshet_migrations ORDER BY version', { data, set, format: 'json' });
      expect(lines).toEqual(['{"version":1}', '{"version":2}', '{"version":3}']);
    } finally {
      await stop();
      await rm(data, { recursive: true, force: true });
    }
  });

  it('is unavailable when nobody answers, and refused when it is no address', async () => {
    const database = 'freshet_test';
    const away = openClickhouseServer({ url: 'http://127.0.0.1:9', database, clock: systemClock });
    await expect(away).rejects.toMatchObject({ code: 'WAREHOUSE_UNAVAILABLE' });
    for (const url of ['clickhouse:8123', 'tcp://host:9000', 'http://user:secret@host:8123']) {
      const wrong = openClickhouseServer({ url, database, clock: systemClock });
      await expect(wrong).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
        message: expect.not.stringContaining('secret') as string,
      });
    }
  });
});
