import { describe, expect, it } from 'vitest';
import type { TopicSpec } from '../../../streams/log/event-log.js';
import { ManualClock } from '../../../streams/clock.js';
import { openEmbedded } from './harness.js';

const TABLE: TopicSpec = { name: 'table', class: 'table', partitions: 1 };

/** Holds whoever waits for a turn until the gate is open. */
class HeldTurns extends ManualClock {
  asked = 0;
  private open = (): void => undefined;
  private readonly gate = new Promise<void>((resolve) => (this.open = resolve));

  override nextTurn(): Promise<void> {
    this.asked++;
    return this.gate;
  }

  release(): void {
    this.open();
  }
}

describe('cleaning', () => {
  it('waits for the turns that it was handed, while appends go on', async () => {
    const harness = await openEmbedded(new ManualClock(), { sync: 'none' });
    try {
      const { log } = harness.storage();
      await log.createTopics([TABLE]);
      const append = (value: string) => log.append(TABLE.name, [{ partition: 0, key: 'k', value: Buffer.from(value) }]);
      for (let i = 0; i < 10; i++) await append(`v${i}`);
      const turns = new HeldTurns();
      let removed: number | undefined;
      const cleaned = log.clean(turns).then((count) => (removed = count));
      await expect.poll(() => turns.asked).toBe(1);
      await append('meanwhile');
      expect(removed).toBeUndefined();
      turns.release();
      await cleaned;
      expect(removed).toBe(9);
    } finally {
      await harness.close();
    }
  });
});
