/** Training beside a running engine: a configured model appears by itself once there is something to learn from. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, expect, it } from 'vitest';
import { killAll, removeTemporaryDirectories, resultOf, startUp, temporaryDirectory } from './freshet.js';
import { until } from './until.js';

afterEach(killAll);
afterAll(removeTemporaryDirectories);

it('up trains a configured model from its warehouse, publishes it and uses it', { timeout: 600_000 }, async () => {
  const directory = temporaryDirectory();
  const lines = ['user,item,time'];
  for (let n = 0; n < 400; n++) lines.push(`u${n % 40},i${(n * 7) % 30},${1_700_000_000 + n}`);
  const [file, mapping] = [join(directory, 'log.csv'), join(directory, 'log.yaml')];
  writeFileSync(file, `${lines.join('\n')}\n`);
  writeFileSync(
    mapping,
    'name: log\nformat: csv\ninteraction: { userId: user, itemId: item, ts: { column: time, unit: s }, type: { constant: click } }\n',
  );
  const [data, models, config] = ['data', 'models', 'freshet.yaml'].map((name) => join(directory, name));
  writeFileSync(
    config!,
    'training:\n  models:\n    - { name: home, algorithm: popularity }\n  restMinutes: 0.05\nwarehouse:\n  blockWaitMs: 100\n',
  );
  const { url, process } = await startUp(data!, '--models', models!, '--config', config!);
  await resultOf('import', file, '--mapping', mapping, '--data', data!);
  const version = await until(
    'the model in use',
    async () => {
      const { models: list } = (await (await fetch(`${url}/v1/models`)).json()) as { models: { version: string | null }[] };
      return list[0]?.version ?? undefined;
    },
    300_000,
  );
  const answer = (await (await fetch(`${url}/v1/users/u1/recommendations`)).json()) as { models: object };
  expect(answer.models).toEqual({ 'model/home': version });
  await process.says(/"outcome":"published"/);
  expect((await process.stop()).code).toBe(0);
});
