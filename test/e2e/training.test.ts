/** Training beside a running engine: a configured model appears by itself once there is something to learn from. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, expect, it } from 'vitest';
import { killAll, removeTemporaryDirectories, startUp, temporaryDirectory } from './freshet.js';
import { Producer } from './producer.js';
import { until } from './until.js';

/** A rest of a second: the first look finds an empty warehouse, later ones what was posted. */
const CONFIG = `
training:
  models:
    - { name: home, algorithm: popularity }
  restMinutes: 0.02
  niceness: 0
warehouse:
  blockWaitMs: 100
`;
const TRAINING_MS_MAX = 90_000;

afterEach(killAll);
afterAll(removeTemporaryDirectories);

it('up trains a configured model from its warehouse, publishes it and uses it', { timeout: 240_000 }, async () => {
  const directory = temporaryDirectory();
  const [data, models, config] = ['data', 'models', 'freshet.yaml'].map((name) => join(directory, name));
  writeFileSync(config!, CONFIG);
  const { url, process } = await startUp(data!, '--models', models!, '--config', config!);
  await process.says(/nothing to learn from yet/, TRAINING_MS_MAX);
  const producer = new Producer('p', 40);
  while (producer.acknowledged.size < 400) await producer.post(url, 200);
  const version = await until('the model in use', () => versionInUse(url), TRAINING_MS_MAX);
  const answer = (await (await fetch(`${url}/v1/users/p-user-1/recommendations`)).json()) as { models: object };
  expect(answer.models).toEqual({ 'model/home': version });
  await process.says(/"outcome":"published"/);
  expect((await process.stop()).code).toBe(0);
});

async function versionInUse(url: string): Promise<string | undefined> {
  const { models } = (await (await fetch(`${url}/v1/models`)).json()) as { models: { version: string | null }[] };
  return models[0]?.version ?? undefined;
}
