/**
 * A short status of the node as plain numbers: what the live page shows. Totals only; rates are the reader's.
 */
import type { Clock } from '../../streams/clock.js';
import type { Counter, Metrics } from '../../streams/metrics.js';
import type { FeedHub } from '../feed/feed-hub.js';
import type { FeedServer } from '../feed/feed-server.js';
import type { Admission } from '../http/admission.js';

export interface NodeStatusParts {
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly hub: FeedHub;
  readonly feeds: FeedServer;
  readonly admission: Admission;
}

export class NodeStatus {
  private readonly startedMs: number;
  private readonly accepted: Counter;
  private readonly rejected: Counter;

  constructor(private readonly parts: NodeStatusParts) {
    this.startedMs = parts.clock.monotonic();
    this.accepted = parts.metrics.counter('events_accepted_total', 'Durable events.');
    this.rejected = parts.metrics.counter('events_rejected_total', 'Refused events.');
    parts.metrics.gaugeOf('stream_lag_records', 'Input records no commit covers yet.', () => parts.admission.streamLag);
  }

  snapshot() {
    const { clock, hub, feeds, admission } = this.parts;
    const { p50, p99 } = hub.pushLatency;
    return {
      now: clock.now(),
      uptimeMs: Math.round(clock.monotonic() - this.startedMs),
      events: { acceptedTotal: this.accepted.value, rejectedTotal: this.rejected.value },
      feeds: {
        connections: feeds.connectionCount,
        subscriptions: hub.subscriptionCount,
        pushedTotal: hub.pushed,
        // null before the first push.
        pushLatencyMs: { p50: finiteOrNull(p50), p99: finiteOrNull(p99) },
      },
      lag: { stream: admission.streamLag },
      requestsInFlight: admission.inFlight,
      activeUsers: hub.activeUsers(),
    };
  }
}

const finiteOrNull = (value: number): number | null => (Number.isFinite(value) ? Math.round(value * 100) / 100 : null);
