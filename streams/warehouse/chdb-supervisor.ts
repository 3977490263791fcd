/**
 * Keeps one chDB process running: starts it, tells where it listens, restarts it after a crash, stops it.
 *
 *            ready                      exit                    delay over
 *   starting ─────> running ───────────────────> waiting ────────────────────> starting
 *       │ directory locked or unreadable            ▲ │ close()
 *       ├──────────────> failed (for good)          │ └──> closed, reachable from every state
 *       └─ exit, too late ──────────────────────────┘
 *
 * The first start is different: its failure is thrown to whoever opened the warehouse. Each child has an endpoint of
 * its own (port, password, generation); nobody keeps using the one of a child that is gone.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { constants, setPriority } from 'node:os';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { EngineError, isEngineError } from '../../schemas/errors.js';
import type { Clock, TimerHandle } from '../clock.js';
import type { Logger } from '../logger.js';
import type { Random } from '../random.js';
import type { ChdbReport, ChdbStart } from './chdb-process.js';
import type { ClickhouseEndpoint } from './clickhouse-client.js';

export interface ChdbSupervisorOptions {
  /** Made when absent, readable by its owner only. Held by one process at a time. */
  readonly directory: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Source of the passwords: must be one of `systemRandom()`. */
  readonly random: Random;
  readonly memoryBytesMax?: number;
  /** How long a call waits for a restart before it fails. */
  readonly readyWaitMs?: number;
  /** How long the first start waits for another process to let go of the directory. */
  readonly lockWaitMs?: number;
  /** Told about every child that became ready. */
  readonly onProcess?: (pid: number) => void;
}

const MEMORY_BYTES_MAX = 4 * 1024 * 1024 * 1024;
const READY_WAIT_MS = 15_000;
/** The child of a killed engine needs up to 3 s to notice and stop. */
const LOCK_WAIT_MS = 10_000;
const LOCK_RETRY_MS = 250;
/** Loading many thousands of parts takes a while; a start that takes longer hangs. */
const START_MS_MAX = 60_000;
/** Longer than the child gives itself. */
const STOP_MS_MAX = 5_000;
const RESTART_DELAY_MS = 100;
const RESTART_DELAY_MS_MAX = 10_000;
/** A process that lived this long was fine: the next crash is answered at once again. */
const HEALTHY_MS = 10_000;
/** Bytes of the child's standard error kept for messages; native code says there why it gave up. */
const COMPLAINT_CHARACTERS_MAX = 4_000;
/** Statements run on libuv's threads: with its default of 4, a few long reports would keep inserts waiting. */
const CHILD_THREADS = 16;
/** All the child inherits: no secret of the engine's environment gets into a process that runs analysts' SQL. */
const INHERITED = ['PATH', 'HOME', 'TMPDIR', 'LANG', 'LD_LIBRARY_PATH'];

interface Running {
  readonly child: ChildProcess;
  readonly endpoint: ClickhouseEndpoint;
  /** Resolves when the process is gone and everything it said was read. */
  readonly gone: Promise<string>;
}

export class ChdbSupervisor {
  private running: Running | undefined;
  private failure: EngineError | undefined;
  private restarting: Promise<void> | undefined;
  private readonly closing = new AbortController();
  private generation = 0;
  private failedStarts = 0;

  private constructor(private readonly options: ChdbSupervisorOptions) {}

  /** Throws DATA_DIRECTORY_LOCKED, DATA_DIRECTORY_INVALID or WAREHOUSE_UNAVAILABLE; nothing is left running then. */
  static async start(options: ChdbSupervisorOptions): Promise<ChdbSupervisor> {
    const supervisor = new ChdbSupervisor(options);
    const { clock, lockWaitMs = LOCK_WAIT_MS } = options;
    const givesUpAt = clock.monotonic() + lockWaitMs;
    for (;;) {
      try {
        await supervisor.startChild();
        return supervisor;
      } catch (error) {
        if (!isEngineError(error, 'DATA_DIRECTORY_LOCKED') || clock.monotonic() >= givesUpAt) throw error;
        await clock.sleep(LOCK_RETRY_MS);
      }
    }
  }

  /** The present endpoint, after waiting a while for a restart under way. Throws WAREHOUSE_UNAVAILABLE. */
  async endpoint(): Promise<ClickhouseEndpoint> {
    if (this.running === undefined && this.restarting !== undefined) {
      const { clock, readyWaitMs = READY_WAIT_MS } = this.options;
      let timer: TimerHandle | undefined;
      const timeout = new Promise<void>((resolve) => (timer = clock.setTimer(readyWaitMs, resolve)));
      await Promise.race([this.restarting, timeout]);
      timer?.cancel();
    }
    if (this.running !== undefined) return this.running.endpoint;
    throw this.closing.signal.aborted
      ? new EngineError('WAREHOUSE_UNAVAILABLE', 'The warehouse is closed')
      : (this.failure ??
          new EngineError(
            'WAREHOUSE_UNAVAILABLE',
            `chDB for '${this.options.directory}' is restarting; try again later`,
          ));
  }

  /** Lets the child finish what it does, for some seconds, then ends it. Idempotent. */
  async close(): Promise<void> {
    this.closing.abort(new EngineError('WAREHOUSE_UNAVAILABLE', 'The warehouse is closed'));
    await this.restarting;
    const running = this.running;
    this.running = undefined;
    if (running === undefined) return;
    if (running.child.connected) running.child.disconnect();
    const timer = this.options.clock.setTimer(STOP_MS_MAX, () => running.child.kill('SIGKILL'));
    await running.gone;
    timer.cancel();
  }

  private async startChild(): Promise<void> {
    const { directory, clock, random, memoryBytesMax = MEMORY_BYTES_MAX } = this.options;
    await mkdir(directory, { recursive: true, mode: 0o700 }).catch((cause: unknown) => {
      throw new EngineError('DATA_DIRECTORY_INVALID', `'${directory}' cannot be made a directory for the warehouse`, {
        cause,
      });
    });
    const password = random.hex(32);
    const child = spawn(process.execPath, [fileURLToPath(childEntry())], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      env: inheritedEnvironment(),
    });
    const gone = outcomeOf(child);
    giveWay(child);
    const onClose = (): void => void child.kill('SIGKILL');
    this.closing.signal.addEventListener('abort', onClose);
    const timer = clock.setTimer(START_MS_MAX, onClose);
    const order: ChdbStart = { kind: 'start', directory, username: 'freshet', password, memoryBytesMax };
    // A child that dies first is told by `gone`; the failed send adds nothing.
    child.send(order, () => undefined);
    const firstReport = new Promise<ChdbReport>((resolve) =>
      child.once('message', (said) => resolve(said as ChdbReport)),
    );
    const report = await Promise.race([firstReport, gone]);
    timer.cancel();
    this.closing.signal.removeEventListener('abort', onClose);
    if (typeof report === 'string' || report.kind === 'failed') {
      const complaint = await gone;
      throw startError(
        directory,
        typeof report === 'string' ? complaint : `${report.message}\n${complaint}`,
        typeof report !== 'string',
      );
    }
    this.adopt({
      child,
      gone,
      endpoint: {
        url: `http://127.0.0.1:${report.port}`,
        username: 'freshet',
        password,
        generation: ++this.generation,
      },
    });
  }

  private adopt(running: Running): void {
    const { clock, logger, directory, onProcess } = this.options;
    const startedAt = clock.monotonic();
    this.running = running;
    if (running.child.pid !== undefined) onProcess?.(running.child.pid);
    void running.gone.then((complaint) => {
      if (this.running !== running) return;
      this.running = undefined;
      if (clock.monotonic() - startedAt >= HEALTHY_MS) this.failedStarts = 0;
      logger.error('chDB exited and is started again', { directory, complaint });
      this.restarting = this.restart().finally(() => (this.restarting = undefined));
    });
  }

  /** Never rejects: the outcome is `running`, `failure` or closed. */
  private async restart(): Promise<void> {
    const { clock, logger, directory } = this.options;
    while (!this.closing.signal.aborted) {
      try {
        const delayMs = Math.min(RESTART_DELAY_MS_MAX, RESTART_DELAY_MS * 2 ** this.failedStarts);
        this.failedStarts = Math.min(this.failedStarts + 1, 30);
        await clock.sleep(delayMs, this.closing.signal);
        await this.startChild();
        return;
      } catch (error) {
        if (this.closing.signal.aborted) return;
        logger.error('chDB did not start', { directory, error });
        // Another process holds the directory, or it cannot be read: trying on would not change that.
        if (isEngineError(error, 'DATA_DIRECTORY_INVALID', 'DATA_DIRECTORY_LOCKED')) {
          this.failure = error;
          return;
        }
      }
    }
  }
}

/** The compiled child beside this file, or, when this file runs as TypeScript (tests), the one the build made. */
function childEntry(): URL {
  const beside = new URL('./chdb-process.js', import.meta.url);
  if (existsSync(beside)) return beside;
  const built = new URL('../../dist/streams/warehouse/chdb-process.js', import.meta.url);
  if (existsSync(built)) return built;
  throw new EngineError('WAREHOUSE_UNAVAILABLE', `'${fileURLToPath(built)}' does not exist; run 'npm run build' first`);
}

function inheritedEnvironment(): NodeJS.ProcessEnv {
  const environment: NodeJS.ProcessEnv = { UV_THREADPOOL_SIZE: String(CHILD_THREADS), TZ: 'UTC' };
  for (const name of INHERITED) if (process.env[name] !== undefined) environment[name] = process.env[name];
  return environment;
}

/** How the process ended, with the last it said on standard error. Never rejects. */
function outcomeOf(child: ChildProcess): Promise<string> {
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-COMPLAINT_CHARACTERS_MAX);
  });
  // Not the child's own 'close': Node does not emit it for a child whose IPC channel this side closed.
  const silent = new Promise((resolve) => child.stderr?.once('close', resolve));
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(`could not be started: ${error.message}`));
    child.once('exit', (code, signal) => {
      void silent.then(() => resolve(`ended with ${signal ?? `status ${code}`}. ${said.trim()}`.trim()));
    });
  });
}

/**
 * chDB tells its caller only that the connection failed; the reason is on standard error alone, so its text has to be
 * read here: `Code: 76 … Cannot lock file`.
 */
function startError(directory: string, complaint: string, wasReported: boolean): EngineError {
  const context = { directory };
  if (/Code: 76\b.*Cannot lock file/s.test(complaint)) {
    return new EngineError('DATA_DIRECTORY_LOCKED', `'${directory}' is used by another process; stop it first`, {
      context,
    });
  }
  if (!wasReported && !/Code: \d+/.test(complaint)) {
    return new EngineError('WAREHOUSE_UNAVAILABLE', `chDB for '${directory}' did not start: it ${complaint}`, {
      context,
    });
  }
  const advice = 'restore it from a copy, or move it away and let the sinks fill a new one from the log';
  return new EngineError('DATA_DIRECTORY_INVALID', `chDB cannot open '${directory}': ${complaint}; ${advice}`, {
    context,
  });
}

/**
 * Merges keep several cores busy for hundreds of ms, and nobody waits for them: without this, threads of the engine stood
 * still for 5 to 20 ms at a time. Threads that the child starts inherit it. Where the system refuses, or the child is gone
 * already, nothing is lost.
 */
function giveWay({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) setPriority(pid, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // As it was.
  }
}
