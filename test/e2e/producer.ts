/**
 * A producer as it should be: every event has an id, and one that was not acknowledged is sent again under the same id.
 *
 * Keeps the books that a test compares the engine with: which ids were acknowledged, of which user.
 */
import { countBy } from './data-sets.js';

export interface ProducerEvent {
  readonly eventId: string;
  readonly userId: string;
  readonly itemId: string;
  readonly type: 'click';
}

export interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly retryAfter: string | null;
}

export class Producer {
  readonly acknowledged = new Map<string, ProducerEvent>();
  readonly refusals: Refusal[] = [];
  /** Sent, and nobody knows whether it arrived. */
  private unanswered: readonly ProducerEvent[] = [];
  private sequence = 0;

  constructor(
    private readonly name: string,
    private readonly users: number,
    /** Characters of each item id: how heavy an event is. */
    private readonly itemIdLength = 8,
  ) {}

  /** Sends a list of new events, or first the one whose answer never came. Returns whether it was acknowledged. */
  async post(url: string, count: number): Promise<boolean> {
    const events = this.unanswered.length > 0 ? this.unanswered : Array.from({ length: count }, () => this.next());
    this.unanswered = events;
    let response: Response;
    try {
      response = await fetch(`${url}/v1/events`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(events),
      });
      if (response.status === 202) return this.note((await response.json()) as Answer, events);
      const { error } = (await response.json()) as { error: { code: string } };
      this.refusals.push({
        status: response.status,
        code: error.code,
        retryAfter: response.headers.get('retry-after'),
      });
    } catch {
      // The process died under the request: the events may be in the log or not.
    }
    return false;
  }

  /** Something was sent that is not acknowledged. */
  get isWaiting(): boolean {
    return this.unanswered.length > 0;
  }

  /** How many acknowledged events there are of each user. */
  byUser(): Map<string, number> {
    return countBy(this.acknowledged.values(), ({ userId }) => userId);
  }

  private note(answer: Answer, events: readonly ProducerEvent[]): boolean {
    if (answer.accepted !== events.length)
      throw new Error(`${answer.accepted} of ${events.length} events were accepted`);
    for (const event of events) this.acknowledged.set(event.eventId, event);
    this.unanswered = [];
    return true;
  }

  private next(): ProducerEvent {
    const i = this.sequence++;
    const itemId = `item-${i % 97}-`.padEnd(this.itemIdLength, 'x');
    return { eventId: `${this.name}-${i}`, userId: `${this.name}-user-${i % this.users}`, itemId, type: 'click' };
  }
}

interface Answer {
  readonly accepted: number;
}
