/**
 * When recent events reached this edge, by event id: what turns a hint into a push latency. Bounded; two generations.
 */
export class EventArrivals {
  private young = new Map<string, number>();
  private old = new Map<string, number>();

  constructor(private readonly eventsMax = 20_000) {}

  add(eventId: string, monotonicMs: number): void {
    if (this.young.size * 2 >= this.eventsMax) {
      this.old = this.young;
      this.young = new Map();
    }
    this.young.set(eventId, monotonicMs);
  }

  get(eventId: string): number | undefined {
    return this.young.get(eventId) ?? this.old.get(eventId);
  }
}
