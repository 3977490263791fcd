/** Published models in a running engine: swapped while requests run, refused when tampered with, rolled back. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../streams/clock.js';
import { seededRandom } from '../../streams/random.js';
import { killAll, removeTemporaryDirectories, resultOf, startUp, temporaryDirectory } from './freshet.js';
import { until } from './until.js';

afterEach(killAll);
afterAll(removeTemporaryDirectories);

const USERS = 200;
/** An hour ago: the state of people who did nothing for long is given up. */
const START_S = Math.floor(systemClock.now() / 1_000) - 3_600;

/** People with one of four tastes. */
function writeLog(directory: string): { file: string; mapping: string } {
  const random = seededRandom('published-e2e');
  const lines = ['user,item,time'];
  for (let n = 0; n < 6_000; n++) {
    const user = random.int(USERS);
    lines.push(`u${user},i${random.int(60) * 4 + (user % 4)},${START_S + Math.floor(n / 2)}`);
  }
  const file = join(directory, 'log.csv');
  const mapping = join(directory, 'log.yaml');
  writeFileSync(file, `${lines.join('\n')}\n`);
  writeFileSync(
    mapping,
    'name: log\nformat: csv\ninteraction: { userId: user, itemId: item, ts: { column: time, unit: s }, type: { constant: click } }\n',
  );
  return { file, mapping };
}

/** A machine that runs other tests beside makes any model look slow. */
const UNHURRIED = ['--set', 'serving.modelBudgetMs=10000', '--set', 'serving.modelWeight=3'];

interface Page {
  readonly items: readonly { readonly source: string; readonly reasons: readonly string[] }[];
  readonly models: Readonly<Record<string, string>>;
}

interface Status {
  readonly models: readonly {
    readonly version: string;
    readonly refused: { readonly version: string; readonly code: string } | null;
  }[];
}

describe('published models', () => {
  it(
    'are swapped under requests without a failure, refused when tampered with, and rolled back',
    {
      timeout: 600_000,
    },
    async () => {
      const directory = temporaryDirectory();
      const { file, mapping } = writeLog(directory);
      const [data, models] = [join(directory, 'data'), join(directory, 'models')];
      const { url, process } = await startUp(data, '--models', models, ...UNHURRIED);
      await resultOf('import', file, '--mapping', mapping, '--data', data);
      const train = (seed: string): Promise<{ version: string }> =>
        resultOf(
          'train',
          'ials',
          '--file',
          file,
          '--mapping',
          mapping,
          '--models',
          models,
          '--data',
          data,
          '--name',
          'home',
          ...['--seed', seed, '--option', 'epochs=3', '--option', 'factors=16', '--threads', '1'],
        );
      const status = async (): Promise<Status['models'][number] | undefined> =>
        ((await (await fetch(`${url}/v1/models`)).json()) as Status).models[0];
      const inUse = (version: string): Promise<true> =>
        until(`version ${version} in use`, async () => (await status())?.version === version || undefined);

      const seen = new Set<string>();
      const published: string[] = [];
      const failures: string[] = [];
      const stop = new AbortController();
      const asking = (async () => {
        for (let n = 0; !stop.signal.aborted; n++) {
          const time = (START_S + 3_001) * 1_000;
          const answer = await fetch(`${url}/v1/users/u${n % USERS}/recommendations?limit=5&time=${time}`);
          // Leaves the processor to the engine and to the trainings.
          await systemClock.sleep(10);
          if (!answer.ok) failures.push(`${answer.status} ${await answer.text()}`);
          else seen.add(((await answer.json()) as Page).models['model/home'] ?? 'none');
        }
      })();

      try {
        const first = await train('1');
        await inUse(first.version);
        const second = await train('2');
        await inUse(second.version);
        const third = await train('3');
        await inUse(third.version);
        published.push(first.version, second.version, third.version);

        const folder = join(models, 'home', 'versions', second.version);
        const items = join(
          folder,
          readdirSync(folder).find((name) => name === 'items.f32')!,
        );
        const bytes = readFileSync(items);
        bytes[5]! ^= 1;
        writeFileSync(items, bytes);
        const registry = ['--models', models, '--data', data];
        await resultOf('models', 'rollback', 'home', '--to', second.version, ...registry);
        const refused = await until('the refusal', async () => (await status())?.refused ?? undefined);
        expect(refused).toMatchObject({ version: second.version, code: 'MODEL_INVALID' });
        expect((await status())!.version).toBe(third.version);
        expect(await (await fetch(`${url}/metrics`)).text()).toMatch(/models_refused_total\{[^}]*\} 1/);
        await process.says(/a published model is refused/);

        await resultOf('models', 'rollback', 'home', ...registry);
        await inUse(first.version);
        const last = (await (await fetch(`${url}/v1/users/u1/recommendations?limit=10`)).json()) as Page;
        expect(last).toMatchObject({ models: { 'model/home': first.version } });
        expect(last.items.some(({ source }) => source === 'model/home')).toBe(true);
      } finally {
        stop.abort();
        await asking;
      }
      expect(failures).toEqual([]);
      expect([...seen].sort()).toEqual(['none', ...published].sort());
    },
  );
});
