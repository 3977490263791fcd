/** `freshet sql`: through a running engine, beside a stopped one, and the examples of the documentation. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runSql, type SqlOptions } from '../../../jobs/commands/sql.js';
import { openWarehouse } from '../../../jobs/warehouse/open-warehouse.js';
import { createSqlHandler } from '../../../jobs/warehouse/sql-handler.js';
import { csvLine } from '../../../jobs/warehouse/sql-text.js';
import type { Terminal } from '../../../jobs/terminal.js';
import { systemClock } from '../../../streams/clock.js';
import { silentLogger } from '../../../streams/logger.js';
import { systemRandom } from '../../../streams/random.js';

let data: string;
const servers: Server[] = [];
beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), 'freshet-sql-'));
});
afterEach(async () => {
  for (const server of servers.splice(0)) server.close();
  await rm(data, { recursive: true, force: true });
});

const open = () =>
  openWarehouse({ data, namespace: 'default', clock: systemClock, logger: silentLogger, retentionDays: 0 });

async function sql(query: string, options: Partial<SqlOptions> = {}): Promise<string[]> {
  const lines: string[] = [];
  const terminal = { line: (text: string) => lines.push(text), say: () => undefined } as unknown as Terminal;
  await runSql({ terminal, clock: systemClock, logger: silentLogger, random: systemRandom() }, query, {
    data,
    ...options,
  });
  return lines;
}

async function serve(status: number, body: object): Promise<string[]> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    request.on('data', (chunk: Buffer) => asked.push(`${request.headers.authorization} ${chunk.toString()}`));
    request.on('end', () => response.writeHead(status).end(JSON.stringify(body)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  servers.push(server);
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await writeFile(join(data, 'admin.json'), JSON.stringify({ url, token: 't0' }));
  return asked;
}

describe('freshet sql', () => {
  it('asks the running engine and shows what it answers, or why it refused', async () => {
    const rows = [
      { name: 'a', n: 1 },
      { name: 'bcd', n: 12.3456789 },
    ];
    const asked = await serve(200, { columns: ['name', 'n'], rows, truncated: false });
    expect(await sql('SELECT 1')).toEqual(['name        n', '────  ───────', 'a           1', 'bcd   12.3457']);
    expect(asked).toEqual(['Bearer t0 {"sql":"SELECT 1"}']);
    expect(await sql('SELECT 1', { format: 'csv' })).toEqual(['name,n', 'a,1', 'bcd,12.3456789']);
    await serve(400, { error: { code: 'WAREHOUSE_QUERY_FAILED', message: 'no such table' } });
    await expect(sql('SELECT 1')).rejects.toMatchObject({ code: 'WAREHOUSE_QUERY_FAILED', message: 'no such table' });
  });

  it('opens the directory itself when nobody answers there, and says who holds it otherwise', async () => {
    await expect(sql('SELECT 1')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const warehouse = await open();
    await writeFile(join(data, 'admin.json'), '{"url": "http://127.0.0.1:1", "token": "t"}');
    await expect(sql('SELECT 1')).rejects.toThrow(
      /Another process holds .* does not answer at http:\/\/127\.0\.0\.1:1/,
    );
    await warehouse.close();
    expect(await sql('SELECT 1 AS one', { format: 'json' })).toEqual(['{"one":1}']);
    expect(await sql('SELECT itemId FROM items')).toEqual(['itemId', '──────', '(no rows)']);
  });

  it('runs every example of the README', async () => {
    const readme = await readFile(new URL('../../../streams/warehouse/README.md', import.meta.url), 'utf8');
    const section = readme.slice(readme.indexOf('## Examples'), readme.indexOf('## People'));
    const examples = section.split('\n\n').filter((text) => /^ {4}--/.test(text));
    const warehouse = await open();
    try {
      const handler = createSqlHandler(warehouse);
      for (const example of examples) await expect(handler(example), example).resolves.toMatchObject({ rows: [] });
      expect(examples.length).toBeGreaterThan(4);
    } finally {
      await warehouse.close();
    }
  });

  it('quotes CSV as RFC 4180 says', () => {
    expect(csvLine(['a"b', 'c,d', 1, null, ['x'], 'e\nf'])).toBe('"a""b","c,d",1,,"[""x""]","e\nf"');
  });
});
