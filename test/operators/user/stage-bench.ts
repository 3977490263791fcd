/**
 * Cost of stage 1's operators alone: decoded records in, encoded signals out, no runtime around them.
 *
 *   npx esbuild test/operators/user/stage-bench.ts --bundle --platform=node --format=esm --packages=external \
 *     --outfile=dist/stage-bench.mjs && node dist/stage-bench.mjs
 *
 * Prints one JSON line: µs an event, of it the state codecs at one commit every 500 records, outputs and bytes an event.
 */
import { ItemVectorTable } from '../../../operators/item-vectors.js';
import { createUserOperators, DEFAULT_USER_STAGE, listUserOperators } from '../../../operators/user/user-operators.js';
import type { UserEvent } from '../../../operators/user/user-events.js';
import { BinaryWriter } from '../../../schemas/binary-writer.js';
import { decodeRecord, encodeRecord } from '../../../schemas/codec.js';
import { INTERACTION_TYPES } from '../../../schemas/records.js';
import { seededRandom } from '../../../streams/random.js';
import type { AnyOperator, Cell, Context } from '../../../streams/runtime/operator.js';

const USERS = 5_000;
const ITEMS = 10_000;
const EVENTS = Number(process.argv[2] ?? 200_000);
const COMMIT_EVERY = 500;
const IMPRESSION_SHARE = Number(process.argv[3] ?? 0);

const scratch = new BinaryWriter();

class BenchContext implements Context {
  key = '';
  time = 0;
  streamTime = 0;
  offset = 0;
  partition = 0;
  row: unknown[] = [];
  changed = new Set<unknown[]>();
  outputs = 0;
  outputBytes = 0;
  stopped = false;
  readonly rows = new Map<string, unknown[]>();
  constructor(readonly operators: readonly AnyOperator<UserEvent>[]) {}
  emit(_topic: string, _key: string, value: Uint8Array): void {
    this.outputs++;
    this.outputBytes += value.length;
  }
  emitRecord<T>(topic: string, key: string, write: (record: T, writer: BinaryWriter) => void, record: T): void {
    scratch.openScratch();
    write(record, scratch);
    this.emit(topic, key, scratch.takeScratch());
  }
  publish(): void {}
  publishLater(): void {}
  hint(): void {}
  setTimer(): void {}
  clearTimer(): void {}
  stop(): void {
    this.stopped = true;
  }
  peek<S>(operator: { readonly name: string }): S | undefined {
    return this.row[ordinals.get(operator.name)!] as S | undefined;
  }
  exportCells(): [] {
    return [];
  }
  importCells(): void {}
  removeCells(): void {}
}

class BenchCell implements Cell<unknown> {
  constructor(
    private readonly context: BenchContext,
    private readonly ordinal: number,
  ) {}
  get(): unknown {
    return this.context.row[this.ordinal];
  }
  getOr(initial: () => unknown): unknown {
    return (this.context.row[this.ordinal] ??= initial());
  }
  set(state: unknown): void {
    this.context.row[this.ordinal] = state;
    this.changed();
  }
  changed(): void {
    this.context.changed.add(this.context.row);
  }
  remove(): void {
    this.context.row[this.ordinal] = undefined;
  }
}

const random = seededRandom('stage-bench');
const table = new ItemVectorTable({ space: 'bench', dimensions: 64 });
const catalogue = new Map<string, { categories: string[]; brand: string; tags: string[] }>();
for (let i = 0; i < ITEMS; i++) {
  table.upsert(
    `item-${i}`,
    1,
    Float32Array.from({ length: 64 }, () => random.gaussian() * 0.1),
  );
  catalogue.set(`item-${i}`, { categories: [`c${i % 40}`], brand: `b${i % 100}`, tags: [`t${i % 70}`, `t${i % 50}`] });
}
const operators = listUserOperators(
  createUserOperators(DEFAULT_USER_STAGE, { namespace: 'bench', catalogue, itemVectors: () => table }),
);
const ordinals = new Map(operators.map((operator, i) => [operator.name, i]));
const context = new BenchContext(operators);
const cells = operators.map((_, ordinal) => new BenchCell(context, ordinal));

function draw(i: number): UserEvent {
  const userId = `user-${Math.floor(USERS * random.float() ** 2)}`;
  const ts = 1_750_000_000_000 + i * 50;
  const common = { eventId: `event-${i}-${random.hex(6)}`, userId, ts, receivedAt: ts, producerId: 'web' };
  if (random.float() < IMPRESSION_SHARE) {
    const slate = Array.from({ length: 10 }, (_, position) => ({
      itemId: `item-${random.int(ITEMS)}`,
      position,
      propensity: 0.1,
    }));
    const stage = random.float() < 0.5 ? ('served' as const) : ('viewed' as const);
    return decoded(encodeRecord('Impression', { ...common, stage, requestId: `r${i >> 1}`, placement: 'home', slate }));
  }
  const type = random.float() < 0.8 ? 'view' : random.pick(INTERACTION_TYPES);
  const context = { device: 'phone', country: 'BR' };
  return decoded(
    encodeRecord('Interaction', {
      ...common,
      type,
      itemId: `item-${Math.floor(ITEMS * random.float() ** 3)}`,
      context,
    }),
  );
}

function decoded(bytes: Buffer): UserEvent {
  return decodeRecord(bytes) as UserEvent;
}

function process1(record: UserEvent): void {
  const key = (record as { userId: string }).userId;
  let row = context.rows.get(key);
  if (row === undefined) context.rows.set(key, (row = new Array<unknown>(operators.length).fill(undefined)));
  context.row = row;
  context.key = key;
  context.time = context.streamTime = (record as { ts: number }).ts;
  context.stopped = false;
  for (let i = 0; i < operators.length && !context.stopped; i++) operators[i]!.process(record, cells[i]!, context);
}

let encodeMs = 0;
let stateBytes = 0;
let statesEncoded = 0;
/** CPU time, not elapsed time: machines that run benchmarks do other things as well. */
function cpuMs(): number {
  return process.cpuUsage().user / 1000;
}
function commit(): void {
  const started = cpuMs();
  for (const row of context.changed) {
    statesEncoded++;
    for (let i = 0; i < operators.length; i++) {
      if (row[i] !== undefined) stateBytes += operators[i]!.state.encode(row[i]).length;
    }
  }
  context.changed.clear();
  encodeMs += cpuMs() - started;
}

for (const measured of [false, true]) {
  encodeMs = 0;
  context.outputs = context.outputBytes = statesEncoded = stateBytes = 0;
  let processMs = 0;
  for (let from = 0; from < EVENTS; from += COMMIT_EVERY) {
    const batch = Array.from({ length: COMMIT_EVERY }, (_, i) => draw(from + i + (measured ? EVENTS : 0)));
    const started = cpuMs();
    for (const record of batch) process1(record);
    processMs += cpuMs() - started;
    commit();
  }
  if (!measured) continue;
  const round = (value: number): number => Math.round(value * 100) / 100;
  process.stdout.write(
    JSON.stringify({
      events: EVENTS,
      users: context.rows.size,
      processUs: round((processMs * 1000) / EVENTS),
      encodeUs: round((encodeMs * 1000) / EVENTS),
      outputsPerEvent: round(context.outputs / EVENTS),
      outputBytesPerEvent: round(context.outputBytes / EVENTS),
      statesPerEvent: round(statesEncoded / EVENTS),
      bytesPerState: Math.round(stateBytes / statesEncoded),
    }) + '\n',
  );
}
