/**
 * The load benches end to end, tiny: a built engine in its own process, real sockets, and the shape of what is told.
 * No times are asserted. They run compiled, so this needs an up-to-date dist/ (npm test builds first).
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const run = promisify(execFile);
const cli = fileURLToPath(new URL('../../../dist/jobs/cli.js', import.meta.url));

const positive = expect.toSatisfy((value: unknown) => typeof value === 'number' && value > 0) as number;
const figures = {
  events: positive,
  seconds: positive,
  cpuSeconds: positive,
  eventsPerSecond: positive,
  p50Ms: positive,
  p99Ms: positive,
  maxMs: positive,
  maxRssBytes: positive,
  generatorCpuSeconds: positive,
};
const machine = {
  cpus: positive,
  loadAverage: [expect.any(Number), expect.any(Number), expect.any(Number)] as number[],
  fdatasync: { p50Ms: positive, p99Ms: positive, maxMs: positive },
};

async function bench(name: string, options: Record<string, number>): Promise<Record<string, unknown>> {
  const settings = Object.entries(options).flatMap(([option, value]) => [`--${option}`, String(value)]);
  const { stdout } = await run(process.execPath, [cli, 'bench', name, '--json', ...settings]);
  return JSON.parse(stdout.trimEnd().split('\n').at(-1)!) as Record<string, unknown>;
}

describe('load benches', () => {
  it('latency: every event posted for a subscriber comes back as the cause of a feed', async () => {
    const options = { subscribers: 20, rate: 40, items: 200, seconds: 2, warmup: 1, runs: 2 };
    const result = await bench('latency', options);
    const told = { ...figures, confirmedShare: 1, failedRequests: 0, bytesPerFeed: positive };
    expect(result).toMatchObject({ ...told, events: 80, machine, after: machine, subscribers: 20 });
    expect(result['runs']).toHaveLength(2);
    for (const each of result['runs'] as unknown[]) expect(each).toMatchObject(told);
  });

  it('serve: every request is answered with items', async () => {
    const result = await bench('serve', { items: 200, users: 50, rate: 20, seconds: 2, warmup: 1 });
    expect(result).toMatchObject({ ...figures, events: 40, machine, itemsPerAnswer: 10 });
  });

  it('ingest: single events and lists, and how far the stages were behind', async () => {
    const options = { clients: 2, batch: 50, items: 200, users: 50, seconds: 1, warmup: 0 };
    const result = await bench('ingest', options);
    expect(result).toMatchObject({ ...figures, requestsPerSecond: positive, catchUpSeconds: positive, machine });
    expect(result['batches']).toMatchObject({ ...figures, requestsPerSecond: positive });
  });

  it('memory: a process that serves a model holds what it tells, and answers', async () => {
    const result = await bench('memory', { users: 300, items: 100, requests: 40 });
    expect(result).toMatchObject({ users: 300, items: 100, factors: 64, readyBytes: positive, itemsPerAnswer: 10 });
    expect(result['highestBytes']).toBeGreaterThanOrEqual(result['readyBytes'] as number);
  });
});
