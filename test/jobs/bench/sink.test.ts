/** `freshet bench sink`, small: what it counts is what it logged, also when the database is killed meanwhile. */
import { expect, it } from 'vitest';
import { runSink } from '../../../jobs/bench/sink.js';
import type { Terminal } from '../../../jobs/terminal.js';
import { systemClock } from '../../../streams/clock.js';
import { silentLogger } from '../../../streams/logger.js';
import { systemRandom } from '../../../streams/random.js';

it('stores every row once although the database is killed', async () => {
  const results: Record<string, unknown>[] = [];
  const terminal = {
    say: () => undefined,
    result: (result: Record<string, unknown>) => void results.push(result),
  } as unknown as Terminal;
  const context = { terminal, clock: systemClock, logger: silentLogger, random: systemRandom() };
  await runSink(context, { interactions: 1_500, seed: 7, kills: 1, set: ['warehouse.blockRows=1000'] });
  expect(results).toMatchObject([{ rows: 6_500, lost: 0, doubled: 0 }]);
  expect(results[0]!['kills']).toBeGreaterThan(0);
});
