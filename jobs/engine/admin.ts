/**
 * Commands on a data directory, whoever holds it.
 *
 * A directory belongs to one process. A command opens it when it is free; when a running engine holds it, the command
 * goes to that process instead, over a loopback port whose address and one-time token lie in `admin.json` inside the
 * directory, readable by its owner only. Either way the same function runs on an engine.
 */
import { randomTokenMatches } from './admin-token.js';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { EngineError, isEngineError } from '../../schemas/errors.js';
import type { ErrorCode } from '../../schemas/errors.js';
import type { Clock } from '../../streams/clock.js';
import type { Random } from '../../streams/random.js';
import type { CommandContext, DataOptions } from '../commands/command.js';
import { openExisting, openForJob } from '../commands/command.js';
import type { Output } from '../terminal.js';
import { addressFile, adminAddress, askEngine } from './admin-client.js';
import type { AdminAddress } from './admin-client.js';
import type { Engine } from './engine.js';

/** A command that runs on an engine; its arguments travel as JSON. */
export interface EngineCommand<A> {
  readonly name: string;
  /** Whether a directory that is not there is made. */
  readonly createsDirectory: boolean;
  /** `running`: stages process while it runs. `quiet`: no batch runs meanwhile. */
  readonly stages: 'running' | 'quiet';
  run(engine: Engine, output: Output, args: A, clock: Clock): Promise<void>;
}

/** Runs a command on the engine of a directory, here or in the process that holds it. */
export async function executeOnEngine<A>(
  context: CommandContext,
  options: DataOptions,
  command: EngineCommand<A>,
  args: A,
): Promise<void> {
  let engine: Engine;
  try {
    engine = await (command.createsDirectory ? openForJob : openExisting)(context, options);
  } catch (error) {
    await askHolder(context, options, { name: command.name, args, error });
    return;
  }
  try {
    if (command.stages === 'running') await engine.start();
    await command.run(engine, context.terminal, args, context.clock);
  } finally {
    await engine.close();
  }
}

interface Question {
  readonly name: string;
  readonly args: unknown;
  /** Why the directory could not be opened. */
  readonly error: unknown;
}

/** Has the process that holds a directory run a command. Throws the error where that is not what it says, or nobody answers. */
export async function askHolder(
  { terminal }: CommandContext,
  { data }: DataOptions,
  { name, args, error }: Question,
): Promise<void> {
  if (!isEngineError(error, 'DATA_DIRECTORY_LOCKED') || !existsSync(addressFile(data))) throw error;
  await forward(data, { name, args, locked: error }, terminal);
}

interface Reply {
  readonly said: readonly string[];
  readonly lines: readonly string[];
  readonly result: object | undefined;
  readonly error: { readonly code: ErrorCode; readonly message: string } | undefined;
}

interface Forwarded {
  readonly name: string;
  readonly args: unknown;
  /** Who holds the directory: the answer when nobody is at the address. */
  readonly locked: EngineError;
}

async function forward(directory: string, { name, args, locked }: Forwarded, output: Output): Promise<void> {
  const address = adminAddress(directory);
  const answer = address === undefined ? undefined : await askEngine(address, { name, body: args });
  // A killed engine leaves its address behind; the directory is then held by a job, which takes no commands.
  if (answer === undefined) throw locked;
  const reply = answer.body as Reply;
  output.say(`'${directory}' is held by a running engine; it was asked`);
  for (const line of reply.said) output.say(line);
  for (const line of reply.lines) output.line(line);
  if (reply.error !== undefined) throw new EngineError(reply.error.code, reply.error.message);
  if (reply.result !== undefined) output.result(reply.result);
}

/** Lines of a reply that are kept; a longer answer is for a command on a stopped engine. */
const REPLY_LINES_MAX = 100_000;
const BODY_BYTES_MAX = 1 << 20;

export interface AdminServerOptions {
  readonly engine: Engine;
  readonly directory: string;
  readonly commands: readonly EngineCommand<never>[];
  /** Answers `POST /v1/admin/sql`; absent when this process keeps no warehouse. */
  readonly sql?: ((statement: string) => Promise<object>) | undefined;
  readonly clock: Clock;
  readonly random: Random;
}

/** Takes commands for a running engine. One at a time: each may stop the stages for a moment. */
export class AdminServer {
  private readonly server: Server;
  private readonly token: string;
  private queue: Promise<unknown> = Promise.resolve();

  constructor(private readonly options: AdminServerOptions) {
    this.token = options.random.hex(32);
    this.server = createServer((request, response) => {
      void this.answer(request).then(({ status, body }) => {
        response.writeHead(status, { 'content-type': 'application/json' });
        response.end(JSON.stringify(body));
      });
    });
  }

  async open(): Promise<void> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    const { port } = this.server.address() as AddressInfo;
    const address: AdminAddress = { url: `http://127.0.0.1:${port}`, token: this.token };
    writeFileSync(addressFile(this.options.directory), JSON.stringify(address), { mode: 0o600 });
  }

  async close(): Promise<void> {
    rmSync(addressFile(this.options.directory), { force: true });
    await this.queue;
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async answer(request: IncomingMessage): Promise<{ status: number; body: object }> {
    const collected = new CollectedOutput();
    try {
      if (!randomTokenMatches(request.headers.authorization, this.token)) {
        throw new EngineError('UNAUTHORIZED', 'The admin address needs the token of this run.');
      }
      const name = (request.url ?? '').replace('/v1/admin/', '');
      const args: unknown = JSON.parse(await readBody(request));
      if (name === 'sql') return { status: 200, body: await this.answerSql(args) };
      const command = this.options.commands.find((candidate) => candidate.name === name);
      if (command === undefined) throw new EngineError('NOT_FOUND', `There is no admin command '${name}'.`);
      const run = this.queue.then(() => this.run(command, collected, args as never));
      this.queue = run.catch(() => undefined);
      await run;
      return { status: 200, body: collected.reply(undefined) };
    } catch (error) {
      const known = isEngineError(error) ? error : new EngineError('INTERNAL', String(error), { cause: error });
      return { status: known.status, body: collected.reply({ code: known.code, message: known.message }) };
    }
  }

  /** Statements do not queue behind commands: the warehouse runs them beside everything else. */
  private answerSql(args: unknown): Promise<object> {
    const { sql } = this.options;
    const statement = (args as { sql?: unknown } | null)?.sql;
    if (sql === undefined) throw new EngineError('WAREHOUSE_UNAVAILABLE', 'This engine runs without a warehouse.');
    if (typeof statement !== 'string') throw new EngineError('REQUEST_INVALID', 'An sql request needs the field sql.');
    return sql(statement);
  }

  private async run(command: EngineCommand<never>, output: Output, args: never): Promise<void> {
    const { engine, clock } = this.options;
    if (command.stages === 'quiet') await engine.worker.pause();
    try {
      await command.run(engine, output, args, clock);
    } finally {
      engine.worker.resume();
    }
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX)
      throw new EngineError('BODY_TOO_LARGE', `An admin request has at most ${BODY_BYTES_MAX} bytes.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

class CollectedOutput implements Output {
  private readonly said: string[] = [];
  private readonly lines: string[] = [];
  private values: object | undefined;

  say(line: string): void {
    if (this.said.length < REPLY_LINES_MAX) this.said.push(line);
  }

  progress(): void {
    // Nobody is watching a reply that comes whole.
  }

  result(values: object): void {
    this.values = values;
  }

  line(text: string): void {
    if (this.lines.length < REPLY_LINES_MAX) this.lines.push(text);
  }

  reply(error: Reply['error']): Reply {
    return { said: this.said, lines: this.lines, result: this.values, error };
  }
}
