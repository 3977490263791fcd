/**
 * A stream worker of a bench: `freshet up --roles stream` in a process of its own, which can be killed as by a power cut.
 *
 * Which partitions it works on is what its own log says; nothing else of it is looked at.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { EngineError } from '../../schemas/errors.js';
import type { Clock } from '../../streams/clock.js';
import type { TaskId } from '../../streams/state/state-store.js';
import { spawnEngine } from './load-engine.js';

export interface WorkerProcessOptions {
  readonly clock: Clock;
  /** `section.key=value` */
  readonly set: readonly string[];
  /** Of this worker alone. */
  readonly directory: string;
}

interface Assignment {
  readonly stage: string;
  readonly partitions: readonly number[];
}

const SAID_LINES_MAX = 20;

export class WorkerProcess {
  private readonly assignments = new Map<string, Assignment & { readonly atMs: number }>();
  private readonly child: ChildProcess;
  private readonly said: string[] = [];

  constructor({ clock, set, directory }: WorkerProcessOptions) {
    this.child = spawnEngine(directory, { set, args: ['--roles', 'stream'] });
    createInterface({ input: this.child.stderr! }).on('line', (line) => {
      this.said.push(line);
      if (this.said.length > SAID_LINES_MAX) this.said.shift();
      const assignment = tryReadAssignment(line);
      if (assignment !== undefined) this.assignments.set(assignment.stage, { ...assignment, atMs: clock.monotonic() });
    });
  }

  /** What it works on, by the newest assignment of each stage. */
  get tasks(): readonly TaskId[] {
    return [...this.assignments.values()].flatMap(({ stage, partitions }) =>
      partitions.map((partition) => ({ stage, partition })),
    );
  }

  /** When the newest assignment of a stage was told; -Infinity before the first. */
  assignedMs(stage: string): number {
    return this.assignments.get(stage)?.atMs ?? -Infinity;
  }

  /** Throws NOT_READY with its last words when it ended by itself. */
  requireRunning(): void {
    const { exitCode, signalCode } = this.child;
    if (exitCode === null && signalCode === null) return;
    const said = this.said.join('\n');
    throw new EngineError('NOT_READY', `A stream worker ended with ${exitCode ?? signalCode}. It said:\n${said}`);
  }

  /** SIGKILL: no handler runs. Resolves when it is gone. */
  kill(): Promise<void> {
    return this.end('SIGKILL');
  }

  /** Drains first. Idempotent. */
  stop(): Promise<void> {
    return this.end('SIGTERM');
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const { child } = this;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }
}

/** The partitions that a line of a worker's log says it was given; undefined for any other line. */
export function tryReadAssignment(line: string): Assignment | undefined {
  if (!line.includes('"partitions assigned"')) return undefined;
  const { group, partitions } = JSON.parse(line) as { group: string; partitions: string };
  const stage = group.slice(group.lastIndexOf('.') + 1);
  return { stage, partitions: partitions === '' ? [] : partitions.split(',').map(Number) };
}
