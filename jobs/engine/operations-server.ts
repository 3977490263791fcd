/**
 * /metrics, /healthz and /readyz of a process, whatever its roles, on a port that Prometheus and an orchestrator reach and
 * nobody else should: no keys are asked for.
 *
 * A stream worker is ready when it runs and its own partitions are not further behind than configured. Lag is looked at by
 * a timer and not by requests, which therefore answer at once and cost the log nothing.
 */
import { createServer } from 'node:http';
import type { Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Clock, TimerHandle } from '../../streams/clock.js';
import type { Logger } from '../../streams/logger.js';
import type { Metrics } from '../../streams/metrics.js';
import type { Engine } from './engine.js';
import type { OperationsConfig } from './operations-section.js';
import { StageMetrics } from './stage-metrics.js';

export interface OperationsServerOptions {
  readonly config: OperationsConfig;
  readonly engine: Pick<Engine, 'worker'>;
  /** Whether this process runs the stages. */
  readonly isStreaming: boolean;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly logger: Logger;
}

const LOOK_MS = 1_000;
/** A look that fails for this long says that the log is out of reach. */
const STALE_MS = 15_000;

export class OperationsServer {
  private readonly server: Server;
  private readonly stages: StageMetrics;
  private timer: TimerHandle | undefined;
  private looking = false;
  private lag = NaN;
  private lookedAt = -Infinity;

  constructor(private readonly options: OperationsServerOptions) {
    this.stages = new StageMetrics(options.metrics);
    if (options.isStreaming) {
      const help = 'Input records of this process’s partitions that no commit covers yet.';
      options.metrics.gaugeOf('worker_lag_records', help, () => this.lag);
    }
    this.server = createServer((request, response) => void this.answer(request.url ?? '', response));
  }

  /** Returns the port. */
  async open(): Promise<number> {
    const { config, clock, isStreaming } = this.options;
    await new Promise<void>((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(config.port, config.host, resolve);
    });
    if (isStreaming) {
      await this.look();
      this.timer = clock.setInterval(LOOK_MS, () => void this.look());
    }
    return (this.server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    this.timer?.cancel();
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async look(): Promise<void> {
    if (this.looking) return;
    this.looking = true;
    const { engine, clock, logger } = this.options;
    this.stages.look(engine.worker.statistics());
    try {
      this.lag = await engine.worker.lag();
      this.lookedAt = clock.monotonic();
    } catch (error) {
      logger.warn('the lag could not be read', { error });
    } finally {
      this.looking = false;
    }
  }

  private async answer(url: string, response: ServerResponse): Promise<void> {
    const { metrics } = this.options;
    const path = url.split('?', 1)[0];
    if (path === '/metrics') {
      response.writeHead(200, { 'content-type': metrics.contentType });
      response.end(await metrics.render());
    } else if (path === '/healthz') {
      sendJson(response, 200, { status: 'ok' });
    } else if (path === '/readyz') {
      const { reason, lag } = this.readiness();
      sendJson(response, reason === undefined ? 200 : 503, { status: reason ?? 'ready', streamLag: lag });
    } else {
      sendJson(response, 404, { status: 'there are /metrics, /healthz and /readyz' });
    }
  }

  private readiness(): { reason: string | undefined; lag: number | null } {
    const { isStreaming, config, clock } = this.options;
    if (!isStreaming) return { reason: undefined, lag: null };
    const { lag } = this;
    if (clock.monotonic() - this.lookedAt > STALE_MS) return { reason: 'the log does not tell the lag', lag: null };
    const isBehind = lag > config.readyLagMax;
    return { reason: isBehind ? `${lag} records behind, more than ${config.readyLagMax}` : undefined, lag };
  }
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}
