/**
 * The outside world of a chaos run: people who visit, look at a list, and act on it, by way of the HTTP edge.
 *
 * Every event has an id, and what was not acknowledged is sent again under the same id, to whichever serving node
 * answers, until it is. A person's next visit begins when the one before was acknowledged, and a visit's events travel
 * in one request, so that what must come of them depends on no fault. The books say what was acknowledged; nothing here
 * knows how the engine counts.
 */
import { systemClock } from '../../streams/clock.js';
import type { Random } from '../../streams/random.js';

export interface Visit {
  readonly user: string;
  readonly session: string;
  readonly request: string;
  /** Shown at positions 0, 1, 2. */
  readonly shown: readonly string[];
  readonly interactions: readonly { readonly id: string; readonly type: 'view' | 'click'; readonly item: string }[];
  /** Event time of the try that was acknowledged, ms. */
  readonly at: number;
}

export interface TrafficOptions {
  /** Addresses of the serving nodes; one may not answer. */
  readonly urls: readonly string[];
  readonly users: readonly string[];
  readonly items: readonly string[];
  /** Interactions and views to send, at least. */
  readonly events: number;
  readonly random: Random;
  /** Visits of one request; each of another person. */
  readonly visitsPerRequest: number;
  readonly requestsAtOnce: number;
}

/** A serving node that stands still does not answer; another one will. */
const ANSWER_MS_MAX = 8_000;
const RETRY_MS = 200;

export class ChaosTraffic {
  readonly acknowledged: Visit[] = [];
  /** Events in `acknowledged`. */
  events = 0;
  /** Requests without an acknowledgement: refused, cut off, or not answered in time. */
  retries = 0;
  private sequence = 0;
  private readonly idle: string[];

  constructor(private readonly options: TrafficOptions) {
    this.idle = options.random.shuffle([...options.users]);
  }

  /** Resolves when enough events were acknowledged, and none is under way. */
  async run(signal: AbortSignal): Promise<void> {
    const lanes = Array.from({ length: this.options.requestsAtOnce }, () => this.lane(signal));
    await Promise.all(lanes);
  }

  private async lane(signal: AbortSignal): Promise<void> {
    const { events, visitsPerRequest } = this.options;
    while (this.events < events && !signal.aborted) {
      const users = this.idle.splice(0, visitsPerRequest);
      const visits = users.map((user) => this.visit(user));
      const at = await this.send(visits, signal);
      for (const visit of visits) {
        this.acknowledged.push({ ...visit, at });
        this.events += 1 + visit.interactions.length;
      }
      this.idle.push(...users);
    }
  }

  private visit(user: string): Omit<Visit, 'at'> {
    const { random, items } = this.options;
    const n = this.sequence++;
    const shown = random.shuffle([...items]).slice(0, 3);
    const interactions = [
      { id: `v${n}-0`, type: 'view' as const, item: shown[0]! },
      { id: `v${n}-1`, type: 'click' as const, item: shown[0]! },
      ...(random.float() < 0.5 ? [{ id: `v${n}-2`, type: 'click' as const, item: shown[1]! }] : []),
    ];
    return { user, session: `s${n}`, request: `r${n}`, shown, interactions };
  }

  /** Returns the event time of the try that was acknowledged. */
  private async send(visits: readonly Omit<Visit, 'at'>[], signal: AbortSignal): Promise<number> {
    const { urls, random } = this.options;
    for (;;) {
      const at = systemClock.now();
      const body = JSON.stringify(visits.flatMap((visit) => eventsOf(visit, at)));
      const timeout = AbortSignal.timeout(ANSWER_MS_MAX);
      try {
        const headers = { 'content-type': 'application/json' };
        const response = await fetch(`${random.pick(urls)}/v1/events`, {
          method: 'POST',
          headers,
          body,
          signal: timeout,
        });
        const answer = (await response.json()) as { accepted?: number };
        if (response.status === 202 && answer.accepted === visits.flatMap((visit) => eventsOf(visit, at)).length)
          return at;
        if (response.status === 400) throw new Refused(JSON.stringify(answer));
      } catch (error) {
        if (error instanceof Refused) throw error;
        // The node died or stands still: the events may be in the log or not.
      }
      this.retries++;
      if (signal.aborted) throw new Error('the run was given up with events under way');
      await systemClock.sleep(RETRY_MS);
    }
  }
}

class Refused extends Error {}

function eventsOf(visit: Omit<Visit, 'at'>, ts: number): object[] {
  const { user: userId, session: sessionId, request: requestId, shown, interactions } = visit;
  const slate = shown.map((itemId, position) => ({ itemId, position, propensity: 0.5 }));
  const common = { userId, sessionId, ts };
  return [
    { ...common, type: 'impression.viewed', eventId: `${requestId}-seen`, requestId, placement: 'home', slate },
    ...interactions.map(({ id, type, item }) => ({
      ...common,
      type,
      eventId: id,
      itemId: item,
      attribution: { requestId, placement: 'home', position: shown.indexOf(item) },
    })),
  ];
}
