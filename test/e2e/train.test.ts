/** Training as a person runs it: killed without warning, it goes on where it was and makes the same model. */
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { seededRandom } from '../../streams/random.js';
import { FreshetProcess, killAll, removeTemporaryDirectories, resultOf, temporaryDirectory } from './freshet.js';
import { until } from './until.js';

afterEach(killAll);
afterAll(removeTemporaryDirectories);

/** People with one of four tastes: enough for sweeps that take a while. */
function writeLog(directory: string): string {
  const random = seededRandom('train-e2e');
  const lines = ['user,item,time'];
  for (let n = 0; n < 60_000; n++) {
    const user = random.int(3_000);
    lines.push(`u${user},i${random.int(300) * 4 + (user % 4)},${1_600_000_000 + n}`);
  }
  const path = join(directory, 'log.csv');
  writeFileSync(path, `${lines.join('\n')}\n`);
  const mapping =
    'name: log\nformat: csv\ninteraction: { userId: user, itemId: item, ts: { column: time, unit: s }, type: { constant: click } }\n';
  writeFileSync(join(directory, 'log.yaml'), mapping);
  return path;
}

interface Trained {
  readonly spaceId: string;
  readonly metrics: Record<string, number>;
}

describe('freshet train', () => {
  it('goes on after kill -9 from its checkpoint, to the very same model', { timeout: 240_000 }, async () => {
    const directory = temporaryDirectory();
    const file = writeLog(directory);
    const command = (models: string): string[] => [
      ...[
        'train',
        'ials',
        '--file',
        file,
        '--mapping',
        join(directory, 'log.yaml'),
        '--models',
        join(directory, models),
      ],
      ...['--option', 'epochs=12', '--option', 'factors=32', '--threads', '1', '--checkpoint-seconds', '0'],
    ];
    const whole = await resultOf<Trained>(...command('whole'));
    const killed = new FreshetProcess(command('killed'));
    const unfinished = join(directory, 'killed', 'unfinished');
    const hasCheckpoint = (): boolean =>
      existsSync(unfinished) && readdirSync(unfinished).some((key) => existsSync(join(unfinished, key, 'checkpoint')));
    await until('a checkpoint', hasCheckpoint);
    await killed.kill();
    expect(existsSync(join(directory, 'killed', 'ials'))).toBe(false);
    const resumed = await resultOf<Trained & { curve: { epoch: number }[] }>(...command('killed'));
    // It went on, it did not start again.
    expect(resumed.curve[0]!.epoch).toBeGreaterThan(1);
    expect([resumed.spaceId, resumed.metrics]).toEqual([whole.spaceId, whole.metrics]);
    expect(readdirSync(unfinished)).toEqual([]);
  });
});
