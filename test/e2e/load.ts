/**
 * Clients of an edge that never rest: some publish events and send again what was refused, one asks for recommendations. What
 * was acknowledged, refused and read is kept.
 */
import { systemClock } from '../../streams/clock.js';
import { Producer } from './producer.js';
import type { Refusal } from './producer.js';

const PRODUCERS = 3;
const LIST = 10;
/** As a client that was told to come back does, only sooner. */
const RETRY_MS = 20;
const READ_MS = 5;

export class Load {
  reads = 0;
  /** What was answered where a recommendation was expected. */
  readonly failedReads: string[] = [];
  private isOver = false;
  private readonly done: Promise<unknown>;

  private constructor(
    private readonly urls: readonly string[],
    private readonly producers: readonly Producer[],
  ) {
    this.done = Promise.all([
      ...producers.map((producer, i) => this.publish(producer, urls[i % urls.length]!)),
      this.read(),
    ]);
  }

  /** `urls`: of one edge, or of several that share the load. */
  static start(urls: string | readonly string[], users: number): Load {
    const producers = Array.from({ length: PRODUCERS }, (_, i) => new Producer(`load${i}`, users));
    return new Load(typeof urls === 'string' ? [urls] : urls, producers);
  }

  /** Of somebody whom events are sent about. */
  get userId(): string {
    return 'load0-user-3';
  }

  get acknowledged(): number {
    return this.producers.reduce((sum, { acknowledged }) => sum + acknowledged.size, 0);
  }

  get refusals(): readonly Refusal[] {
    return this.producers.flatMap(({ refusals }) => refusals);
  }

  /** Acknowledged events of each user. */
  byUser(): Map<string, number> {
    return new Map(this.producers.flatMap((producer) => [...producer.byUser()]));
  }

  /** Resolves when every event that was ever sent is acknowledged. */
  async stop(): Promise<void> {
    this.isOver = true;
    await this.done;
  }

  private async publish(producer: Producer, url: string): Promise<void> {
    while (!this.isOver || producer.isWaiting) {
      if (!(await producer.post(url, LIST))) await systemClock.sleep(RETRY_MS);
    }
  }

  private async read(): Promise<void> {
    for (let i = 0; !this.isOver; i++) {
      const url = this.urls[i % this.urls.length]!;
      const answer = await fetch(`${url}/v1/users/${this.userId}/recommendations`).catch((error: unknown) => error);
      if (answer instanceof Response && answer.status === 200) this.reads++;
      else
        this.failedReads.push(answer instanceof Response ? `${answer.status} ${await answer.text()}` : String(answer));
      await systemClock.sleep(READ_MS);
    }
  }
}
