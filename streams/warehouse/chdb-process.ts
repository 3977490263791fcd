/**
 * Entry of the child process that holds chDB: one data directory, served over HTTP until the parent lets go.
 *
 * A process of its own, because a query must not block the engine's event loop, a crash in native code must not take
 * the engine along, and chDB brings the process down when a worker thread that used it exits. The parent
 * (chdb-supervisor.ts) talks over the IPC channel: it sends `start`, hears `ready` or `failed`, and disconnecting is
 * the order to stop. The kernel closes the channel also when the parent is killed, so no child outlives it for long.
 * This file alone imports chdb.
 */
import { drainPending, Session } from 'chdb';
import { mkdirSync, rmSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Server } from 'node:http';
import { systemClock } from '../clock.js';
import { type EngineStatement, serveChdbHttp, type SqlEngine } from './chdb-http.js';
import { quoteLiteral } from './statement.js';

export interface ChdbStart {
  readonly kind: 'start';
  readonly directory: string;
  readonly username: string;
  readonly password: string;
  /** Memory the engine may use for all statements together. */
  readonly memoryBytesMax: number;
}

export type ChdbReport =
  | { readonly kind: 'ready'; readonly port: number; readonly version: string }
  | { readonly kind: 'failed'; readonly message: string };

/** Work under way may finish when the parent went; then the process ends, come what may. */
const STOP_GRACE_MS = 3_000;
/** Output of a statement that cannot be streamed (SHOW, DESCRIBE, EXPLAIN …), held in memory as a whole. */
const BUFFERED_RESULT_BYTES_MAX = 256 * 1024 * 1024;
/** Folder of bodies that are being stored, beside chDB's own. */
const INCOMING = 'incoming';
/** Statements are parsed up to this length, parameters included; ClickHouse's own 256 KiB is short for long arrays. */
const QUERY_BYTES_MAX = 64 * 1024 * 1024;

/**
 * Every statement gets a session of its own, which costs .2 ms. In a session that is used again, the output of a query
 * that failed half-way comes back in front of the next result, and settings and parameters stay set.
 */
class ChdbEngine implements SqlEngine {
  private readonly incoming: string;
  private bodies = 0;

  constructor(private readonly directory: string) {
    this.incoming = join(directory, INCOMING);
    // What a killed process left there was not acknowledged.
    rmSync(this.incoming, { recursive: true, force: true });
    mkdirSync(this.incoming);
  }

  async *rows(statement: EngineStatement, format: string): AsyncGenerator<Uint8Array> {
    const session = this.open(statement);
    try {
      const stream = session.queryStream(statement.sql, { format });
      try {
        for await (const chunk of stream) yield chunk.raw();
      } finally {
        if (!stream.closed) stream.cancel();
      }
    } finally {
      session.close();
    }
  }

  async run(statement: EngineStatement, format: string): Promise<Uint8Array> {
    const session = this.open(statement, { max_result_bytes: String(BUFFERED_RESULT_BYTES_MAX) });
    try {
      return (await session.queryAsync(statement.sql, { format })).bytes();
    } finally {
      session.close();
    }
  }

  async insert(statement: EngineStatement, body: Buffer): Promise<number> {
    const target = /^\s*INSERT\s+INTO\s+([\w.`"]+)\s*(?:\(([^)]*)\))?\s*FORMAT\s+JSONEachRow\s*$/i.exec(statement.sql);
    const native = /^(\s*INSERT\s+INTO\s+[\w.`"]+\s*\([^)]*\))\s*FORMAT\s+Native\s*$/i.exec(statement.sql);
    if (native !== null) return this.insertNative(statement, native[1]!, body);
    const session = this.open(statement);
    try {
      if (target === null) {
        await session.queryAsync(`${statement.sql}\n${body.toString('utf8')}`);
        return 0;
      }
      // Handed over as bytes: a quarter faster than as part of the statement's text.
      const unquote = (name: string): string => name.trim().replace(/[`"]/g, '');
      const columns = target[2]?.split(',').map(unquote);
      const inserted = await session.insert({
        table: unquote(target[1]!),
        values: body,
        format: 'JSONEachRow',
        ...(columns === undefined ? {} : { columns }),
      });
      return inserted.rowsWritten;
    } finally {
      session.close();
    }
  }

  /** The library takes text alone from memory; a file it reads itself, whatever is in it. */
  private async insertNative(statement: EngineStatement, into: string, body: Buffer): Promise<number> {
    const path = join(this.incoming, `${this.bodies++}.native`);
    await writeFile(path, body);
    const session = this.open(statement);
    try {
      await session.queryAsync(`${into} SELECT * FROM file(${quoteLiteral(path)}, 'Native')`);
      return 0;
    } finally {
      session.close();
      await rm(path, { force: true });
    }
  }

  private open(statement: EngineStatement, limits: Readonly<Record<string, string>> = {}): Session {
    const session = new Session(this.directory);
    try {
      session.query(`USE ${quoteIdentifier(statement.database)}`);
      session.query(`SET max_query_size = ${QUERY_BYTES_MAX}`);
      const params = [...statement.params].map(([name, value]) => `param_${name} = ${quoteLiteral(value)}`);
      const settings = [...Object.entries(limits), ...statement.settings].map(
        ([name, value]) => `${name} = ${/^-?\d+(\.\d+)?$/.test(value) ? value : quoteLiteral(value)}`,
      );
      // In one statement, because after `readonly` nothing else can be set.
      if (params.length + settings.length > 0) session.query(`SET ${[...params, ...settings].join(', ')}`);
      return session;
    } catch (error) {
      session.close();
      throw error;
    }
  }
}

function quoteIdentifier(name: string): string {
  return `\`${name.replaceAll('\\', '\\\\').replaceAll('`', '\\`')}\``;
}

async function start(order: ChdbStart): Promise<{ anchor: Session; server: Server }> {
  // Kept open for the process's life: with the last session chDB would unload the directory.
  const anchor = new Session(order.directory, {
    connectionArgs: [`--max_server_memory_usage=${order.memoryBytesMax}`],
  });
  const version = anchor.query('SELECT version()', 'TabSeparated').trim();
  const engine = new ChdbEngine(order.directory);
  const { server, port } = await serveChdbHttp({ engine, username: order.username, password: order.password });
  report({ kind: 'ready', port, version });
  return { anchor, server };
}

function report(message: ChdbReport, sent: () => void = () => undefined): void {
  if (process.connected) process.send?.(message, sent);
  else sent();
}

async function stop(running: { anchor: Session; server: Server } | undefined): Promise<void> {
  // process.exit waits for native threads, for as long as a statement runs; only the signal is certain to end it. What
  // was acknowledged is in the kernel's hands by then, and chDB drops the rest when it starts again.
  systemClock.setTimer(STOP_GRACE_MS, () => process.kill(process.pid, 'SIGKILL'));
  if (running !== undefined) {
    const closed = new Promise((resolve) => running.server.close(resolve));
    running.server.closeIdleConnections();
    await closed;
    running.anchor.close();
    await drainPending();
  }
  process.exit(0);
}

async function main(): Promise<void> {
  const disconnected = new Promise<void>((resolve) => process.once('disconnect', resolve));
  const order = await Promise.race([
    new Promise<ChdbStart>((resolve) => process.once('message', (message) => resolve(message as ChdbStart))),
    disconnected,
  ]);
  if (order === undefined) return;
  let running: { anchor: Session; server: Server } | undefined;
  try {
    running = await start(order);
  } catch (error) {
    report({ kind: 'failed', message: error instanceof Error ? error.message : String(error) }, () => process.exit(1));
    return;
  }
  // Ctrl-C and a service manager signal the whole group; the engine still has blocks to flush and stops us itself.
  // Set after chDB started, because it sets its own.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
  await disconnected;
  await stop(running);
}

await main();
