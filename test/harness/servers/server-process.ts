/**
 * One server program under test: started in a folder of its own, watched, ended with its starter.
 *
 * Started `bound`, a server dies when this process does, however that ends: a watcher beside it reads our pipe and
 * kills the server when the pipe closes. Started `detached`, it stays until somebody stops it by its pid. The pid is
 * the server's own, so that chaos tests can stop, continue and kill it.
 *
 * Invariant: `stop` resolves when the program is gone; no server outlives a bound starter.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { createServer, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../../streams/clock.js';

export interface ServerCommand {
  /** For messages: `kafka 1`, `redis 7001`. */
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  /** Its working directory; output goes to `server.log` there. */
  readonly directory: string;
  readonly detached?: boolean | undefined;
  readonly environment?: Readonly<Record<string, string>>;
}

/** Time a server has to go by itself, ms; then it is killed. */
const STOP_MS_MAX = 20_000;
/** Far above what a server takes on a quiet machine: a dozen of them may start at once on two cores. */
const READY_MS_MAX = 180_000;
const READY_LOOK_MS = 50;
const LOG_TAIL_CHARACTERS = 2_000;

/** `$$` stays the pid of what `exec` puts in the shell's place. A terminal that hangs up, or Ctrl-C, does not end the watcher. */
export const WATCHED =
  'exec 3<&0; { trap "" HUP INT QUIT; cat <&3 >/dev/null; kill -9 $$; } 2>/dev/null & exec "$@" </dev/null 3<&-';

export class ServerProcess {
  private child: ChildProcess;
  private exited: Promise<void>;

  private constructor(private readonly command: ServerCommand) {
    [this.child, this.exited] = launch(command);
  }

  static start(command: ServerCommand): ServerProcess {
    return new ServerProcess(command);
  }

  get pid(): number {
    const { pid } = this.child;
    if (pid === undefined)
      throw new Error(`${this.command.name} could not be started: is ${this.command.program} there?`);
    return pid;
  }

  get name(): string {
    return this.command.name;
  }

  get directory(): string {
    return this.command.directory;
  }

  get isRunning(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Resolves when `probe` answers without an error. Throws, with the end of the server's log, when it never does. */
  async ready(probe: () => Promise<unknown>): Promise<void> {
    const deadline = systemClock.monotonic() + READY_MS_MAX;
    for (;;) {
      try {
        await probe();
        return;
      } catch (error) {
        if (this.isRunning && systemClock.monotonic() < deadline) {
          await systemClock.sleep(READY_LOOK_MS);
          continue;
        }
        throw new Error(`${this.command.name} did not become ready (${String(error)}):\n${this.logTail()}`, {
          cause: error,
        });
      }
    }
  }

  /** SIGTERM, and SIGKILL for what does not go, which is said. Idempotent. */
  async stop(): Promise<void> {
    if (this.isRunning) this.signal('SIGTERM');
    const timer = systemClock.setTimer(STOP_MS_MAX, () => {
      const said = `${this.command.name} did not end by itself in ${STOP_MS_MAX / 1_000} s`;
      process.stderr.write(`${said}:\n${this.logTail()}\n`);
      this.signal('SIGKILL');
    });
    await this.gone();
    timer.cancel();
  }

  async kill(): Promise<void> {
    if (this.isRunning) this.signal('SIGKILL');
    await this.gone();
  }

  /** A server does not keep its starter alive; waiting for its end does, or the starter would end without a word. */
  private async gone(): Promise<void> {
    if (this.isRunning) this.child.ref();
    await this.exited;
  }

  /** SIGSTOP and SIGCONT, for pauses. */
  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Starts the stopped or killed server again, on the same folder. */
  restart(): void {
    if (this.isRunning) throw new Error(`${this.command.name} is still running`);
    [this.child, this.exited] = launch(this.command);
  }

  private logTail(): string {
    return readFileSync(join(this.command.directory, 'server.log'), 'utf8').slice(-LOG_TAIL_CHARACTERS);
  }
}

function launch(command: ServerCommand): [ChildProcess, Promise<void>] {
  const { program, args, directory, environment = {}, detached = false } = command;
  const output = openSync(join(directory, 'server.log'), 'a');
  const env = { ...process.env, ...environment };
  const child = detached
    ? spawn(program, args, { cwd: directory, env, detached, stdio: ['ignore', output, output] })
    : spawn('/bin/sh', ['-c', WATCHED, program, program, ...args], {
        cwd: directory,
        env,
        stdio: ['pipe', output, output],
      });
  closeSync(output);
  // The server must not keep a finished test run alive.
  child.unref();
  const pipe = child.stdin;
  if (pipe instanceof Socket) pipe.unref();
  const exited = new Promise<void>((resolve) => {
    const ended = (): void => {
      child.stdin?.destroy();
      resolve();
    };
    child.once('exit', ended);
    child.once('error', ended);
  });
  return [child, exited];
}

/** A folder for servers' files, under the system's temporary folder. */
export function createServerDirectory(kind: string): string {
  return mkdtempSync(join(tmpdir(), `freshet-${kind}-`));
}

export function removeServerDirectory(directory: string): void {
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
}

/** Ports nobody listened on a moment ago, all different. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(0, '127.0.0.1', resolve);
      });
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
