/**
 * `freshet bench replay-memory`: the anonymous memory (RssAnon, all processes) of replays of a file of clicks, one after
 * another into one data directory, each a week after the one before.
 *
 *   catalogue of drawn items ──import──▶ directory ◀──replay── the file ◀──replay── the file, a week later …
 *
 * Each job is a process of its own, as on the command line. Told are the highest that was seen and the last: what grows from
 * one replay to the next would grow for ever.
 */
import { createReadStream, createWriteStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createGunzip } from 'node:zlib';
import { EngineError } from '../../schemas/errors.js';
import { seededRandom } from '../../streams/random.js';
import type { CommandContext } from '../commands/command.js';
import { runJob } from './job-process.js';
import { anonymousBytesOfTree } from './process-status.js';

export interface ReplayMemoryOptions {
  /** Clicks in the columns of mapping `globo`, gzipped. */
  readonly file: string;
  readonly items: number;
  readonly replays: number;
  readonly seed: number;
  readonly set?: readonly string[] | undefined;
}

interface Replay {
  readonly events: number;
  readonly seconds: number;
  readonly highestBytes: number;
  readonly lastBytes: number;
}

const WEEK_MS = 7 * 86_400_000;
const TIME_COLUMN = 'click_timestamp';
const SAMPLE_MS = 1_000;
const CATALOGUE_MAPPING = `name: drawn
format: csv
item:
  itemId: id
  ts: { start: '2017-09-30T00:00:00Z', stepMs: 1 }
  title: title
  categories: { column: categories, split: '|' }
  price: price
`;

export async function runReplayMemory(context: CommandContext, options: ReplayMemoryOptions): Promise<void> {
  const { terminal } = context;
  const folder = mkdtempSync(join(tmpdir(), 'freshet-replay-memory-'));
  const into = ['--data', join(folder, 'data'), ...(options.set ?? []).flatMap((setting) => ['--set', setting])];
  const [catalogue, mapping] = [join(folder, 'catalogue.csv'), join(folder, 'catalogue.yaml')];
  try {
    terminal.say(`importing ${options.items} items`);
    writeCatalogue(catalogue, options);
    writeFileSync(mapping, CATALOGUE_MAPPING);
    await runJob(['import', catalogue, '--mapping', mapping, ...into]);
    const replays: Replay[] = [];
    for (let n = 0; n < options.replays; n++) {
      const file = n === 0 ? options.file : await writeLater(options.file, n * WEEK_MS, join(folder, `later-${n}.csv`));
      const replay = await measured(context, ['replay', file, '--mapping', 'globo', ...into]);
      const megabytes = [replay.highestBytes, replay.lastBytes].map((bytes) => Math.round(bytes / 1e6));
      terminal.say(`replay ${n + 1}: ${replay.events} events, ${megabytes.join(' MB at the highest, ')} MB at the end`);
      replays.push(replay);
    }
    const { items } = options;
    terminal.result({ bench: 'replay-memory', items, replays, load: loadavg() });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Items that nobody clicks: what a catalogue weighs by itself. */
function writeCatalogue(file: string, { items, seed }: ReplayMemoryOptions): void {
  const random = seededRandom(seed);
  let lines = 'id,title,categories,price\n';
  for (let i = 0; i < items; i++) {
    const title = Array.from({ length: 6 }, () => `word${random.int(5_000)}`).join(' ');
    lines += `drawn-${i},${title},category${random.int(40)}|shelf${random.int(400)},${random.int(10_000) / 100}\n`;
  }
  writeFileSync(file, lines);
}

async function writeLater(file: string, byMs: number, target: string): Promise<string> {
  const stream = createWriteStream(target);
  let place = -1;
  for await (const line of createInterface({ input: createReadStream(file).pipe(createGunzip()) })) {
    const cells = line.split(',');
    if (place < 0) place = cells.indexOf(TIME_COLUMN);
    else cells[place] = String(Number(cells[place]) + byMs);
    if (place < 0)
      throw new EngineError('MAPPING_INVALID', `'${file}' has no column ${TIME_COLUMN} in its first line.`);
    if (!stream.write(`${cells.join(',')}\n`)) await once(stream, 'drain');
  }
  stream.end();
  await once(stream, 'close');
  return target;
}

async function measured({ clock }: CommandContext, args: readonly string[]): Promise<Replay> {
  let pid: number | undefined;
  let [highestBytes, lastBytes] = [0, 0];
  const sampling = clock.setInterval(SAMPLE_MS, () => {
    lastBytes = anonymousBytesOfTree(pid) || lastBytes;
    highestBytes = Math.max(highestBytes, lastBytes);
  });
  try {
    const printed = await runJob([...args, '--json'], (started) => (pid = started));
    const { events, seconds } = JSON.parse(printed.trim().split('\n').at(-1)!) as { events: number; seconds: number };
    return { events, seconds, highestBytes, lastBytes };
  } finally {
    sampling.cancel();
  }
}
