/** Builds and starts a TypeScript file of this folder as a process of its own, to be killed. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundle } from '../../harness/bundle.js';

const FOLDER = fileURLToPath(new URL('.', import.meta.url));

export interface Child {
  readonly process: ChildProcess;
  readonly lines: readonly string[];
  /** Resolves when a line starts with this; rejects when the process ends before. */
  line(start: string): Promise<string>;
  kill(): Promise<void>;
}

export function buildChild(file: string): Promise<string> {
  return bundle({ entryPoints: [join(FOLDER, `${file}.ts`)] });
}

export function startChild(bundle: string, ...args: string[]): Child {
  const child = spawn(process.execPath, [bundle, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const lines: string[] = [];
  const waiting: { start: string; resolve: (line: string) => void; reject: (error: Error) => void }[] = [];
  let rest = '';
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  child.stdout.on('data', (chunk: Buffer) => {
    // A line that was cut by the kill was not said.
    const parts = (rest + chunk.toString()).split('\n');
    rest = parts.pop()!;
    for (const line of parts) {
      lines.push(line);
      for (const waiter of waiting) if (line.startsWith(waiter.start)) waiter.resolve(line);
    }
  });
  const exited = new Promise<void>((resolve) => {
    child.once('close', () => {
      for (const waiter of waiting) waiter.reject(new Error(`The child ended: ${errors}`));
      resolve();
    });
  });
  return {
    process: child,
    lines,
    line: (start) => {
      const said = lines.find((line) => line.startsWith(start));
      if (said !== undefined) return Promise.resolve(said);
      return new Promise((resolve, reject) => waiting.push({ start, resolve, reject }));
    },
    kill: () => {
      child.kill('SIGKILL');
      return exited;
    },
  };
}
