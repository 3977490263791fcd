/** A stage of one operator over records `{ts, n, side?}`, and what its readers end up with. */
import type { WindowOutput } from '../../../streams/windows/window.js';
import type { WindowAggregate } from '../../../streams/windows/window.js';
import { jsonInput, jsonState } from '../../../streams/json-codecs.js';
import type { AnyOperator } from '../../../streams/runtime/operator.js';
import type { StageDeclaration } from '../../../streams/runtime/topology.js';
import type { LogRecord } from '../../../streams/log/event-log.js';

export interface Sample {
  readonly ts: number;
  readonly n: number;
  readonly side?: 'left' | 'right';
}

export interface KeyedSample extends Sample {
  readonly key: string;
}

export const INPUT = 'samples';
export const OUTPUT = 'results';

/** Keeps every number, sorted: loses nothing and does not depend on order. */
export const numbers: WindowAggregate<Sample, number[], string> = {
  initial: () => [],
  add: (aggregate, { n }) => [...aggregate, n].sort((a, b) => a - b),
  merge: (into, from) => [...into, ...from].sort((a, b) => a - b),
  result: (aggregate) => aggregate.join('+'),
  codec: jsonState<number[]>(),
};

export function stageOf(...operators: AnyOperator<Sample>[]): StageDeclaration<Sample> {
  return {
    name: 'windowed',
    input: INPUT,
    codec: jsonInput<Sample>({ times: ({ ts }) => ({ ts, receivedAt: undefined }) }),
    operators,
    outputs: [OUTPUT],
    clockToleranceMs: 0,
    allowedLatenessMs: Infinity,
    latePolicy: 'process',
    faultPolicy: 'fail',
    deadLetters: undefined,
  };
}

export function sample({ key, ...record }: KeyedSample): { key: string; value: Buffer } {
  return { key, value: Buffer.from(JSON.stringify(record)) };
}

export function parsed<T>(records: readonly LogRecord[]): T[] {
  return records.map(({ value }) => JSON.parse(value.toString()) as T);
}

/** `key start..end value` of every window whose highest revision was not withdrawn, sorted. */
export function finalWindows(outputs: readonly WindowOutput<string>[]): string[] {
  const latest = new Map<string, WindowOutput<string>>();
  for (const output of outputs) {
    const id = `${output.key} ${output.start}`;
    if ((latest.get(id)?.revision ?? -1) < output.revision) latest.set(id, output);
  }
  return [...latest.values()]
    .filter((output) => !output.withdrawn)
    .map((output) => `${output.key} ${output.start}..${output.end} ${output.value}`)
    .sort();
}

/** The records of each key, by time. */
export function byKey(samples: readonly KeyedSample[]): Map<string, KeyedSample[]> {
  const grouped = new Map<string, KeyedSample[]>();
  for (const record of [...samples].sort((a, b) => a.ts - b.ts)) {
    grouped.set(record.key, [...(grouped.get(record.key) ?? []), record]);
  }
  return grouped;
}

export function sumText(samples: readonly Sample[]): string {
  return samples
    .map(({ n }) => n)
    .sort((a, b) => a - b)
    .join('+');
}
