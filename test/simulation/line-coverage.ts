/**
 * Which lines of the commit path the runs went through: V8's own counters, mapped back to the sources.
 *
 * A line that no seed reaches is a promise that nobody checks; the list is printed so that it stays short.
 */
import { readFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import type { Profiler } from 'node:inspector';
import { findSourceMap } from 'node:module';
import type { SourceMapping } from 'node:module';
import { fileURLToPath } from 'node:url';

/** From a worker's loop to the port: what exactly-once state rests on. */
export const COMMIT_PATH = [
  'streams/runtime/task-loop.ts',
  'streams/runtime/task.ts',
  'streams/runtime/task-batch.ts',
  'streams/runtime/task-meta.ts',
  'streams/runtime/task-faults.ts',
  'streams/runtime/input-reader.ts',
  'streams/runtime/batch-outputs.ts',
  'streams/runtime/timer-queue.ts',
  'streams/runtime/row-cache.ts',
  'streams/runtime/table-repair.ts',
  'streams/kafka/group-member.ts',
  'streams/warehouse/sink.ts',
  'streams/warehouse/block-ledger.ts',
];

export interface FileCoverage {
  readonly file: string;
  readonly lines: number;
  readonly covered: number;
  /** Line numbers, in order. */
  readonly missed: readonly number[];
}

export class LineCoverage {
  private constructor(private readonly session: Session) {}

  /** Counts from here on. The program must run from a bundle with a source map, with source maps enabled. */
  static async start(): Promise<LineCoverage> {
    const session = new Session();
    session.connect();
    await session.post('Profiler.enable');
    await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
    return new LineCoverage(session);
  }

  /** Of the files of the commit path. Ends the counting. */
  async stop(): Promise<FileCoverage[]> {
    const { result } = await this.session.post('Profiler.takePreciseCoverage');
    this.session.disconnect();
    const script = result.find(({ url }) => url === import.meta.url);
    return script === undefined ? [] : coverageOf(script);
  }
}

function coverageOf({ url, functions }: Profiler.ScriptCoverage): FileCoverage[] {
  const path = fileURLToPath(url);
  const map = findSourceMap(path);
  if (map === undefined) return [];
  const text = readFileSync(path, 'utf8');
  const counts = countsOf(text.length, functions);
  const files = new Map<string, Map<number, boolean>>();
  let offset = 0;
  text.split('\n').forEach((line, number) => {
    const column = line.search(/\S/);
    // Empty where the bundler wrote something of its own.
    const entry = (column < 0 ? {} : map.findEntry(number, column)) as Partial<SourceMapping>;
    const { originalSource: source, originalLine } = entry;
    if (source !== undefined && originalLine !== undefined) {
      const file = COMMIT_PATH.find((name) => source.endsWith(name));
      if (file !== undefined) {
        const lines = files.get(file) ?? new Map<number, boolean>();
        const at = originalLine + 1;
        files.set(file, lines.set(at, (lines.get(at) ?? false) || counts[offset + column]! > 0));
      }
    }
    offset += line.length + 1;
  });
  return COMMIT_PATH.map((file) => {
    const lines = [...(files.get(file) ?? [])];
    const missed = lines.flatMap(([line, isCovered]) => (isCovered ? [] : [line])).sort((left, right) => left - right);
    return { file, lines: lines.length, covered: lines.length - missed.length, missed };
  });
}

/** How often each character was run: inner ranges say more than the ones around them, and come later. */
function countsOf(length: number, functions: readonly Profiler.FunctionCoverage[]): Int32Array {
  const counts = new Int32Array(length).fill(1);
  const ranges = functions.flatMap((one) => one.ranges);
  ranges.sort((left, right) => left.startOffset - right.startOffset || right.endOffset - left.endOffset);
  for (const { startOffset, endOffset, count } of ranges) counts.fill(count, startOffset, endOffset);
  return counts;
}
