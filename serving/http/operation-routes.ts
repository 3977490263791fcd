/**
 * What those who run the node ask it: alive, ready, metrics, and a short status for people.
 */
import { EngineError } from '../../schemas/errors.js';
import type { Metrics } from '../../streams/metrics.js';
import { ok, type Route } from './route.js';

export interface Readiness {
  /** Empty when ready; else why not. */
  readonly reasons: readonly string[];
  /** Records that the node's tables are behind, and the stream stages are. */
  readonly tableLag: number;
  readonly streamLag: number;
}

export interface OperationRoutesDeps {
  readonly metrics: Metrics;
  readonly readiness: () => Promise<Readiness>;
  readonly status: () => Promise<unknown>;
  /** Published models in use. */
  readonly models: () => readonly unknown[];
}

export function createOperationRoutes({ metrics, readiness, status, models }: OperationRoutesDeps): Route[] {
  const common = { method: 'GET', tag: 'operation', access: 'public', body: 'none' } as const;
  return [
    {
      ...common,
      path: '/healthz',
      summary: 'Whether the process answers',
      answers: { 200: '{status}' },
      handle: () => ok({ status: 'ok' }),
    },
    {
      ...common,
      path: '/readyz',
      summary: 'Whether the node should be sent traffic',
      answers: { 200: '{status, tableLag, streamLag}' },
      handle: async () => {
        const { reasons, tableLag, streamLag } = await readiness();
        if (reasons.length > 0) {
          throw new EngineError('NOT_READY', `The node is not ready: ${reasons.join('; ')}`, {
            context: { tableLag, streamLag },
          });
        }
        return ok({ status: 'ready', tableLag, streamLag });
      },
    },
    {
      ...common,
      path: '/metrics',
      access: 'key',
      summary: 'Metrics in the Prometheus text format',
      answers: { 200: 'Text.' },
      handle: async () => ({ status: 200, body: await metrics.render(), contentType: metrics.contentType }),
    },
    {
      ...common,
      path: '/v1/models',
      access: 'key',
      summary: 'Published models: the version in use, how it is searched, and what was refused',
      answers: {
        200: '{models: [{name, version, algorithm, metrics, weight, since, search, liveStates, refused, …}]}',
      },
      handle: () => ok({ models: models() }),
    },
    {
      ...common,
      path: '/v1/status',
      access: 'key',
      summary: 'Counters for a page: events, feeds, push latency, lag, users active lately',
      answers: { 200: '{now, uptimeMs, events, feeds, lag, activeUsers}' },
      handle: async () => ok(await status()),
    },
  ];
}
