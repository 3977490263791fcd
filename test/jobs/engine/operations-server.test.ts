/** Metrics and readiness of a process that serves nobody. */
import { afterEach, describe, expect, it } from 'vitest';
import { OperationsServer } from '../../../jobs/engine/operations-server.js';
import { StageMetrics } from '../../../jobs/engine/stage-metrics.js';
import { ManualClock } from '../../../streams/clock.js';
import { createLogger } from '../../../streams/logger.js';
import { createMetrics } from '../../../streams/metrics.js';
import { emptyStatistics } from '../../../streams/runtime/task-options.js';
import type { TaskStatistics } from '../../../streams/runtime/task-options.js';
import type { StreamWorker } from '../../../streams/runtime/worker.js';

const LAG_MAX = 10;

describe('operations of a stream worker', () => {
  let server: OperationsServer | undefined;
  afterEach(() => server?.close());

  async function open(lag: () => Promise<number>, clock: ManualClock): Promise<string> {
    const statistics = new Map([['users/0', { ...emptyStatistics(), records: 7, commits: 2 }]]);
    server = new OperationsServer({
      config: { host: '127.0.0.1', port: 0, readyLagMax: LAG_MAX },
      engine: { worker: { lag, statistics: () => statistics } as unknown as StreamWorker },
      isStreaming: true,
      metrics: createMetrics({ namespace: 'default', includeProcess: false }),
      clock,
      logger: createLogger({ level: 'silent' }),
    });
    return `http://127.0.0.1:${await server.open()}`;
  }

  it('is ready while its partitions are not further behind than allowed', async () => {
    const clock = new ManualClock();
    let lag = LAG_MAX;
    const url = await open(() => Promise.resolve(lag), clock);
    expect(await (await fetch(`${url}/readyz`)).json()).toEqual({ status: 'ready', streamLag: LAG_MAX });
    lag = LAG_MAX + 1;
    await clock.advance(1_000);
    const behind = await fetch(`${url}/readyz`);
    expect(behind.status).toBe(503);
    expect(await behind.json()).toMatchObject({ streamLag: LAG_MAX + 1 });
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    expect((await fetch(`${url}/elsewhere`)).status).toBe(404);
  });

  it('is not ready once the log has not told the lag for a while', async () => {
    const clock = new ManualClock();
    let isReachable = true;
    const url = await open(() => (isReachable ? Promise.resolve(0) : Promise.reject(new Error('away'))), clock);
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    isReachable = false;
    for (let second = 0; second < 20; second++) await clock.advance(1_000);
    expect((await fetch(`${url}/readyz`)).status).toBe(503);
  });

  it('shows lag and what its stages did', async () => {
    const url = await open(() => Promise.resolve(4), new ManualClock());
    const text = await (await fetch(`${url}/metrics`)).text();
    expect(text).toContain('freshet_default_worker_lag_records 4');
    expect(text).toContain('freshet_default_stage_records_total{stage="users"} 7');
    expect(text).toContain('freshet_default_stage_commits_total{stage="users"} 2');
  });
});

describe('counters of stages', () => {
  it('add up over tasks that come, go and are opened anew', async () => {
    const metrics = createMetrics({ namespace: 'default', includeProcess: false });
    const stages = new StageMetrics(metrics);
    const task = (records: number): TaskStatistics => ({ ...emptyStatistics(), records });
    stages.look(
      new Map([
        ['users/0', task(5)],
        ['users/1', task(3)],
      ]),
    );
    stages.look(new Map([['users/1', task(4)]]));
    stages.look(
      new Map([
        ['users/0', task(2)],
        ['users/1', task(1)],
      ]),
    );
    expect(metrics.counter('stage_records_total', 'Input records processed.', { stage: 'users' }).value).toBe(12);
  });
});
