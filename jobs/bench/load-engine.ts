/**
 * The engine under load: `freshet up` in a process of its own, so that its CPU and memory are told apart from those of
 * the generator. Nothing in it knows that it is measured; what it cost is what its own /metrics say.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EngineError } from '../../schemas/errors.js';
import type { Clock } from '../../streams/clock.js';
import { CLI, ENGINE_FLAGS } from '../cli-process.js';
import { HttpClient } from './load-http.js';
import { statusBytes } from './process-status.js';

export interface EngineProcessOptions {
  readonly clock: Clock;
  /** `section.key=value` */
  readonly set: readonly string[];
  /** Directory for a CPU profile of the engine. */
  readonly profile?: string | undefined;
  /** Data that are there already; they stay. A new temporary directory otherwise. */
  readonly directory?: string | undefined;
  /** Further arguments of `up`. */
  readonly args?: readonly string[] | undefined;
}

export interface EngineCost {
  readonly cpuSeconds: number;
  readonly rssBytes: number;
  /** Since the start, as far as the system tells. */
  readonly maxRssBytes: number;
}

const IDLE_LOOK_MS = 50;
/** The engine looks at its own lag this often; an older look says nothing of what was just sent. */
const LAG_AGE_MS = 300;
const SAID_BYTES_MAX = 16_384;

export class EngineProcess {
  private readonly http: HttpClient;

  private constructor(
    private readonly options: EngineProcessOptions,
    private readonly child: ChildProcess,
    private readonly directory: string,
    readonly url: string,
  ) {
    this.http = new HttpClient(url, 1);
  }

  /** Starts on a free port. */
  static async start(options: EngineProcessOptions): Promise<EngineProcess> {
    const directory = options.directory ?? mkdtempSync(join(tmpdir(), 'freshet-bench-'));
    const child = spawnEngine(directory, options);
    try {
      return new EngineProcess(options, child, directory, await untilUp(child));
    } catch (error) {
      if (options.directory === undefined) rmSync(directory, { recursive: true, force: true });
      throw error;
    }
  }

  async cost(): Promise<EngineCost> {
    const { body } = await this.http.get('/metrics');
    const text = body.toString();
    const value = (name: string): number => Number(new RegExp(`^\\w+_${name} (\\S+)$`, 'm').exec(text)?.[1]);
    const rssBytes = value('process_resident_memory_bytes');
    return { cpuSeconds: value('process_cpu_seconds_total'), rssBytes, maxRssBytes: this.peakBytes() ?? rssBytes };
  }

  /** Resolves when everything taken so far has passed both stages and reached the tables. */
  async idle(): Promise<void> {
    const { clock } = this.options;
    const start = clock.monotonic();
    for (;;) {
      await clock.sleep(IDLE_LOOK_MS);
      const { status, body } = await this.http.get('/readyz');
      if (status !== 200) continue;
      const { streamLag, tableLag } = JSON.parse(body.toString()) as { streamLag: number; tableLag: number };
      if (streamLag === 0 && tableLag === 0 && clock.monotonic() - start > LAG_AGE_MS) return;
    }
  }

  /** Drains, waits for the end, and removes the directory. */
  async stop(): Promise<void> {
    this.http.close();
    if (this.child.exitCode === null) {
      const closed = once(this.child, 'close');
      this.child.kill('SIGTERM');
      await closed;
    }
    if (this.options.directory === undefined) rmSync(this.directory, { recursive: true, force: true });
  }

  /** What is in memory and not mapped from files. Undefined where the system does not tell. */
  anonymousBytes(): number | undefined {
    return statusBytes(this.child.pid, 'RssAnon');
  }

  private peakBytes(): number | undefined {
    return statusBytes(this.child.pid, 'VmHWM');
  }
}

/** `freshet up` on a free port; what it says on standard error is piped. Throws USAGE_INVALID where nothing was built. */
export function spawnEngine(
  directory: string,
  { profile, set, args = [] }: Pick<EngineProcessOptions, 'profile' | 'set' | 'args'>,
): ChildProcess {
  if (!existsSync(CLI)) throw new EngineError('USAGE_INVALID', `There is no built '${CLI}'; build first.`);
  return spawn(
    process.execPath,
    [
      ...ENGINE_FLAGS,
      ...(profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`]),
      ...[CLI, 'up', '--data', directory, '--port', '0', ...args],
      ...set.flatMap((setting) => ['--set', setting]),
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
}

/** The address that the engine announces. */
function untilUp(child: ChildProcess): Promise<string> {
  let said = '';
  return new Promise((resolve, reject) => {
    child.stderr!.on('data', (bytes: Buffer) => {
      said = (said + bytes.toString()).slice(-SAID_BYTES_MAX);
      const url = /page\s+(http:\S+)\//.exec(said)?.[1];
      if (url !== undefined) resolve(url);
    });
    child.on('error', reject);
    child.on('close', (code) =>
      reject(new EngineError('NOT_READY', `The engine ended with ${code} before it was up. It said:\n${said}`)),
    );
  });
}
