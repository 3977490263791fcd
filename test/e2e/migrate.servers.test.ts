/**
 * Out of a data directory onto a real Kafka and a real Redis: the same digests, also after the command was killed; and a
 * snapshot put back there leads to the same state again.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, expect, it } from 'vitest';
import { useCluster } from '../harness/cluster.js';
import { describeWithKafka, needsRedis } from '../harness/servers/needs.js';
import {
  FreshetProcess,
  digestOf,
  killAll,
  removeTemporaryDirectories,
  resultOf,
  runFreshet,
  temporaryDirectory,
} from './freshet.js';

const ROWS = 6_000;
const MAPPING = `name: clicks
format: csv
interaction:
  userId: user
  itemId: item
  ts: { column: at, unit: ms }
  type: { constant: click }
`;

describeWithKafka('migrate', () => {
  const cluster = useCluster();

  afterEach(killAll);
  afterAll(removeTemporaryDirectories);

  it(
    'moves log and state, goes on after kill -9, and refuses to do it twice',
    { timeout: 240_000 },
    async (context) => {
      needsRedis(context);
      const data = temporaryDirectory();
      await fill(data);
      const before = await digestOf(data);
      const config = cluster.writeConfig(temporaryDirectory());
      const servers = ['--data', data, '--config', config];
      const killed = new FreshetProcess(['migrate', ...servers]);
      await killed.says(/records copied/);
      await killed.kill();
      expect(await resultOf('migrate', ...servers)).toMatchObject({ digestsEqual: true });

      const onServers = ['--config', config, '--set', 'streams.storage=distributed'];
      const distributed = ['--data', data, ...onServers];
      const digest = (): Promise<unknown> => digestOf(data, ...onServers);
      expect(await digest()).toEqual(before);
      const again = await runFreshet('migrate', ...servers);
      expect(again.stderr).toContain('MANIFEST_MISMATCH: The target is not empty');

      const snapshots = temporaryDirectory();
      await resultOf('snapshot', 'export', snapshots, ...distributed);
      expect(await resultOf<{ tasks: string[] }>('snapshot', 'restore', snapshots, ...distributed)).toMatchObject({
        tasks: Object.keys(before),
      });
      expect(await digest()).toEqual(before);
    },
  );

  async function fill(data: string): Promise<void> {
    const files = temporaryDirectory();
    const rows = Array.from(
      { length: ROWS },
      (_, i) => `u${i % 400},i${(i * 7) % 90},${1_700_000_000_000 + i * 3_000}`,
    );
    writeFileSync(join(files, 'clicks.csv'), ['user,item,at', ...rows].join('\n'));
    writeFileSync(join(files, 'clicks.yaml'), MAPPING);
    await resultOf('replay', join(files, 'clicks.csv'), '--mapping', join(files, 'clicks.yaml'), '--data', data);
  }
});
