/**
 * `freshet bench memory`: what a serving process holds in anonymous memory (RssAnon: not mapped from files), with a million
 * people who have a history, their catalogue, and a published model.
 *
 *   1. events and items are drawn and imported, 2. ials is trained on them and published, each by a process of its own;
 *   3. `up` starts on that directory: memory once it is ready; 4. recommendations are asked for and events posted
 *   meanwhile: memory at the highest and at the end.
 */
import { createWriteStream, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { EngineError } from '../../schemas/errors.js';
import { seededRandom } from '../../streams/random.js';
import type { Random } from '../../streams/random.js';
import type { CommandContext } from '../commands/command.js';
import { EngineProcess } from './load-engine.js';
import { runJob } from './job-process.js';
import { HttpClient } from './load-http.js';
import { requireTaken } from './load-world.js';

export interface MemoryOptions {
  readonly users: number;
  readonly items: number;
  readonly events: number;
  readonly factors: number;
  readonly requests: number;
  readonly seed: number;
  readonly roles: string;
  readonly keep?: string | undefined;
  readonly set?: readonly string[] | undefined;
}

/** Between two people's sessions: a million take half a day, which has just passed: people of long ago would expire. */
const STEP_MS = 40;
const CLICK_MS = 1_000;
const DEPARTMENTS = 20;
const BRANDS = 500;
const EVENTS_MAPPING = `name: memory-events
format: csv
interaction:
  userId: user
  itemId: item
  ts: { column: ts, unit: ms }
  type: { constant: click }
`;
const ITEMS_MAPPING = `name: memory-items
format: csv
item:
  itemId: item
  title: title
  categories: { column: category, split: '.', reverse: true }
  brand: brand
  price: price
  currency: { constant: EUR }
`;
const CONNECTIONS = 4;
const SAMPLE_MS = 250;
/** Every so many requests an event is posted. */
const REQUESTS_PER_EVENT = 5;

export async function runMemory(context: CommandContext, options: MemoryOptions): Promise<void> {
  const { terminal, clock } = context;
  const folder = options.keep ?? mkdtempSync(join(tmpdir(), 'freshet-memory-'));
  const random = seededRandom(options.seed);
  const [data, models] = [join(folder, 'data'), join(folder, 'models')];
  const set = options.set ?? [];
  try {
    if (!existsSync(models)) await prepare(context, options, { folder, data, models, random });
    terminal.say('starting the process that is measured');
    const args = ['--models', models, '--roles', options.roles];
    const engine = await EngineProcess.start({ clock, set, directory: data, args });
    try {
      await engine.idle();
      const ready = requireAnonymous(engine);
      const figures = await ask(context, options, { engine, random: random.stream('requests') });
      const { users, items, factors, requests } = options;
      terminal.result({
        bench: 'memory',
        users,
        items,
        factors,
        requests,
        readyBytes: ready,
        ...figures,
        load: loadavg(),
      });
    } finally {
      await engine.stop();
    }
  } finally {
    if (options.keep === undefined) rmSync(folder, { recursive: true, force: true });
  }
}

interface Place {
  readonly folder: string;
  readonly data: string;
  readonly models: string;
  readonly random: Random;
}

/** The registry of models appears last: a folder that has one is whole. */
async function prepare({ terminal, clock }: CommandContext, options: MemoryOptions, place: Place): Promise<void> {
  const { folder, data, models, random } = place;
  mkdirSync(folder, { recursive: true });
  rmSync(data, { recursive: true, force: true });
  const [file, mapping] = [join(folder, 'events.csv'), join(folder, 'events.yaml')];
  const [itemsFile, itemsMapping] = [join(folder, 'items.csv'), join(folder, 'items.yaml')];
  terminal.say(`drawing ${options.users * options.events} events of ${options.users} people`);
  const startMs = clock.now() - options.users * STEP_MS - options.events * CLICK_MS;
  await writeEvents(file, options, { random: random.stream('events'), startMs });
  writeFileSync(mapping, EVENTS_MAPPING);
  writeItems(itemsFile, options);
  writeFileSync(itemsMapping, ITEMS_MAPPING);
  const learnFrom = [file, '--mapping', mapping];
  const set = (options.set ?? []).flatMap((setting) => ['--set', setting]);
  terminal.say('importing the catalogue, then the events');
  await runJob(['import', itemsFile, '--mapping', itemsMapping, '--data', data, ...set]);
  await runJob(['import', ...learnFrom, '--data', data, ...set]);
  terminal.say('training on them');
  const fit = ['--option', `factors=${options.factors}`, '--option', 'epochs=1', '--no-holdout'];
  await runJob(['train', 'ials', '--file', ...learnFrom, '--models', models, '--data', data, ...fit, ...set]);
  rmSync(file);
  rmSync(itemsFile);
}

/** People meet a department's items, popular ones (low numbers) more often; every item is met by somebody. */
async function writeEvents(
  file: string,
  { users, items, events }: MemoryOptions,
  { random, startMs }: { readonly random: Random; readonly startMs: number },
): Promise<void> {
  const stream = createWriteStream(file);
  stream.write('user,item,ts\n');
  for (let user = 0; user < users; user++) {
    const department = random.int(DEPARTMENTS);
    let lines = '';
    for (let n = 0; n < events; n++) {
      const drawn = Math.floor(items * random.float() ** 2);
      const met = n === 0 && user < items ? user : drawn - (drawn % DEPARTMENTS) + department;
      const item = Math.min(items - 1, met);
      lines += `user-${user},item-${item},${startMs + user * STEP_MS + n * CLICK_MS}\n`;
    }
    if (!stream.write(lines)) await once(stream, 'drain');
  }
  stream.end();
  await once(stream, 'close');
}

function writeItems(file: string, { items }: MemoryOptions): void {
  const lines = ['item,title,category,brand,price'];
  for (let item = 0; item < items; item++) {
    const category = `department-${item % DEPARTMENTS}.shelf-${item % 200}`;
    lines.push(`item-${item},The ${item}th thing on sale,${category},brand-${item % BRANDS},${(item % 90) + 9}.95`);
  }
  writeFileSync(file, `${lines.join('\n')}\n`);
}

interface Asked {
  readonly engine: EngineProcess;
  readonly random: Random;
}

async function ask({ clock }: CommandContext, options: MemoryOptions, { engine, random }: Asked) {
  const http = new HttpClient(engine.url, CONNECTIONS);
  let highestBytes = requireAnonymous(engine);
  let [answered, asked] = [0, 0];
  const sampling = clock.setInterval(SAMPLE_MS, () => {
    highestBytes = Math.max(highestBytes, requireAnonymous(engine));
  });
  const lane = async (): Promise<void> => {
    while (asked < options.requests) {
      const n = asked++;
      const user = `user-${random.int(options.users)}`;
      const answer = await http.get(`/v1/users/${user}/recommendations?limit=10`);
      requireTaken(answer);
      answered += (JSON.parse(answer.body.toString()) as { items: unknown[] }).items.length;
      if (n % REQUESTS_PER_EVENT > 0) continue;
      const itemId = `item-${random.int(options.items)}`;
      const event = { eventId: `asked-${n}`, type: 'click', userId: user, itemId };
      requireTaken(await http.post('/v1/events', JSON.stringify([event])));
    }
  };
  try {
    await Promise.all(Array.from({ length: CONNECTIONS }, lane));
    await engine.idle();
    return { highestBytes, atEndBytes: requireAnonymous(engine), itemsPerAnswer: answered / Math.max(1, asked) };
  } finally {
    sampling.cancel();
    http.close();
  }
}

function requireAnonymous(engine: EngineProcess): number {
  const bytes = engine.anonymousBytes();
  if (bytes !== undefined) return bytes;
  throw new EngineError('USAGE_INVALID', 'bench memory reads /proc/PID/status, which this system does not have.');
}
