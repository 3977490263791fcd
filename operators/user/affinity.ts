/**
 * Fifth operator of stage 1: how much a person is drawn to categories, brands and tags, fading with time.
 *
 *   affinity(name, t) = Σ over interactions  weight × 2^(−(t − time) / halfLife)
 *
 * kept by forward decay (Cormode et al., Forward Decay, ICDE 2009): entries are valid at one common reference time, an
 * interaction later than it counts for 2^(+elapsed / halfLife), and nothing else is touched. After one half-life all
 * entries are brought to a new reference time. Worked example: a like (3) at the reference time and one a half-life
 * later give 3 + 6 = 9 there, which is 4.5 at the later time: 3 / 2 + 3.
 *
 * It stands apart from `profile` because it reads the catalogue, which another stage moves meanwhile: table-reading
 * state is checked by invariants, and must not spoil the exactness of the profile's. Bounded: of more than `entriesMax`
 * names the weakest goes. Weights are f32 in memory as they are when stored, so that it does not matter when a state was
 * written and read back. Not learned without consent.
 */
import type { Interaction } from '../../schemas/records.js';
import type { Operator } from '../../streams/runtime/operator.js';
import { decayFactor } from '../decay.js';
import { carriedCategory, type CatalogueReader } from './catalogue.js';
import { DEFAULT_INTEREST_WEIGHTS, interestWeight, type EventWeights } from './event-weights.js';
import { mayPersonalize, type ProfileState } from './profile-state.js';
import { createLayoutCodec, createLayoutReader, type BinaryReader, type BinaryWriter } from '../state-layout.js';
import { packStrings, readLength, readStrings, writeStrings } from './state-bytes.js';
import type { UserEvent } from './user-events.js';

export interface AffinityConfig {
  /** ms; default 7 d. */
  readonly halfLifeMs: number;
  /** Names kept of each kind; default 32. */
  readonly entriesMax: number;
  readonly weights: EventWeights;
}

export const DEFAULT_AFFINITY: AffinityConfig = {
  halfLifeMs: 7 * 86_400_000,
  entriesMax: 32,
  weights: DEFAULT_INTEREST_WEIGHTS,
};

export interface AffinityDeps {
  readonly catalogue: CatalogueReader;
  readonly profile: Operator<never, ProfileState>;
}

/** Names and their weights at the state's reference time, in parallel; in no order. */
export interface AffinityTable {
  readonly names: string[];
  readonly weights: number[];
  /** `names` as stored, once they were written a few times without a change: then only weights are written anew. */
  packedNames: Buffer | undefined;
  /** How often `names` were written since they changed, while they are not packed. */
  timesWritten: number;
}

export interface AffinityState {
  /** ms since epoch. */
  refTime: number;
  readonly categories: AffinityTable;
  readonly brands: AffinityTable;
  readonly tags: AffinityTable;
}

export type CategoryAffinity = Pick<AffinityState, 'refTime' | 'categories'>;

export function emptyAffinityState(): AffinityState {
  return {
    refTime: 0,
    categories: { names: [], weights: [], packedNames: undefined, timesWritten: 0 },
    brands: { names: [], weights: [], packedNames: undefined, timesWritten: 0 },
    tags: { names: [], weights: [], packedNames: undefined, timesWritten: 0 },
  };
}

/** Tags of one item that count; further ones are noise. */
const TAGS_MAX = 8;

export function createAffinityOperator(config: AffinityConfig, deps: AffinityDeps): Operator<UserEvent, AffinityState> {
  const { halfLifeMs, entriesMax } = config;
  return {
    name: 'affinity',
    purity: 'table-reading',
    state: affinityCodec,
    reads: ['profile'],
    process(record, cell, context) {
      if (record.kind !== 'Interaction') return;
      const weight = interestWeight(config.weights, record);
      if (weight === 0) return;
      const item = deps.catalogue.get(record.itemId);
      const carried = carriedCategory(record);
      if (item === undefined && carried === undefined) return;
      if (!mayPersonalize(context.peek(deps.profile))) return;
      const state = cell.getOr(emptyAffinityState);
      cell.changed();
      const amount = weight * forwardFactor(state, context.time, halfLifeMs);
      addItem(state, record, item, amount);
    },
    merge(target, source) {
      const state = target.getOr(emptyAffinityState);
      const refTime = Math.max(state.refTime, source.refTime);
      moveReference(state, refTime, halfLifeMs);
      moveReference(source, refTime, halfLifeMs);
      addTable(state.categories, source.categories);
      addTable(state.brands, source.brands);
      addTable(state.tags, source.tags);
      target.changed();
    },
  };

  function addItem(
    state: AffinityState,
    record: Interaction,
    item: ReturnType<CatalogueReader['get']>,
    amount: number,
  ): void {
    const carried = carriedCategory(record);
    if (item === undefined) {
      if (carried !== undefined) add(state.categories, carried, amount);
      return;
    }
    for (const category of item.categories) add(state.categories, category, amount);
    if (carried !== undefined && !item.categories.includes(carried)) add(state.categories, carried, amount);
    if (item.brand !== null) add(state.brands, item.brand, amount);
    for (let i = 0; i < item.tags.length && i < TAGS_MAX; i++) add(state.tags, item.tags[i]!, amount);
  }

  function add(table: AffinityTable, name: string, amount: number): void {
    const index = table.names.indexOf(name);
    if (index >= 0) {
      table.weights[index] = Math.fround(table.weights[index]! + amount);
      return;
    }
    table.packedNames = undefined;
    table.timesWritten = 0;
    if (table.names.length < entriesMax) {
      table.names.push(name);
      table.weights.push(Math.fround(amount));
      return;
    }
    // The newcomer always enters: tastes that begin must get a chance against tastes that fade.
    let weakest = 0;
    for (let i = 1; i < table.weights.length; i++) {
      if (Math.abs(table.weights[i]!) < Math.abs(table.weights[weakest]!)) weakest = i;
    }
    table.names[weakest] = name;
    table.weights[weakest] = Math.fround(amount);
  }

  function addTable(table: AffinityTable, other: AffinityTable): void {
    for (let i = 0; i < other.names.length; i++) add(table, other.names[i]!, other.weights[i]!);
  }
}

/** What a weight at `time` counts for at the reference time, which moves on when it lies a half-life back. */
function forwardFactor(state: AffinityState, time: number, halfLifeMs: number): number {
  if (time - state.refTime > halfLifeMs) moveReference(state, time, halfLifeMs);
  return time >= state.refTime
    ? 1 / decayFactor(time - state.refTime, halfLifeMs)
    : decayFactor(state.refTime - time, halfLifeMs);
}

function moveReference(state: AffinityState, refTime: number, halfLifeMs: number): void {
  const factor = decayFactor(refTime - state.refTime, halfLifeMs);
  for (const table of [state.categories, state.brands, state.tags]) {
    for (let i = 0; i < table.weights.length; i++) table.weights[i] = Math.fround(table.weights[i]! * factor);
  }
  state.refTime = refTime;
}

export interface Affinity {
  readonly name: string;
  /** At the time asked for. */
  readonly weight: number;
}

/** The strongest positive affinities of a table at `time`, strongest first; equal ones by name. */
export function topAffinities(
  table: AffinityTable,
  options: { readonly refTime: number; readonly time: number; readonly halfLifeMs: number; readonly max: number },
): Affinity[] {
  const { max } = options;
  const factor = decayFactor(options.time - options.refTime, options.halfLifeMs);
  const top: Affinity[] = [];
  for (let i = 0; i < table.names.length; i++) {
    const name = table.names[i]!;
    const weight = table.weights[i]! * factor;
    if (table.weights[i]! <= 0 || (top.length >= max && !isStronger(name, weight, top[max - 1]!))) continue;
    let place = Math.min(top.length, max - 1);
    for (; place > 0 && isStronger(name, weight, top[place - 1]!); place--) top[place] = top[place - 1]!;
    top[place] = { name, weight };
  }
  return top;
}

function isStronger(name: string, weight: number, other: Affinity): boolean {
  return weight > other.weight || (weight === other.weight && name < other.name);
}

const LAYOUT = { name: 'affinity', version: 1 };

export const affinityCodec = createLayoutCodec<AffinityState>({
  ...LAYOUT,
  write(state, writer) {
    writer.writeLong(state.refTime);
    writeTable(state.categories, writer);
    writeTable(state.brands, writer);
    writeTable(state.tags, writer);
  },
  read(reader) {
    return {
      refTime: reader.readLong(),
      categories: readTable(reader),
      brands: readTable(reader),
      tags: readTable(reader),
    };
  },
});

/** As above of the categories alone: the rest is passed over. */
export const categoryAffinityReader = createLayoutReader<CategoryAffinity>({
  ...LAYOUT,
  read(reader) {
    const state = { refTime: reader.readLong(), categories: readTable(reader) };
    skipTable(reader);
    skipTable(reader);
    return state;
  },
});

/** Names that were written so often without a change are packed. */
const WRITTEN_BEFORE_PACKED = 3;

/** More than any configured bound: names of a table are at most as many as `readStrings` accepts. */
const packed = new Float32Array(4096);

function writeTable(table: AffinityTable, writer: BinaryWriter): void {
  // Perhaps they change all the time: memory of their own is for those that do not.
  if (table.packedNames === undefined && ++table.timesWritten > WRITTEN_BEFORE_PACKED) {
    table.packedNames = packStrings(table.names);
  }
  if (table.packedNames === undefined) writeStrings(table.names, writer);
  else writer.writeFixed(table.packedNames);
  for (let i = 0; i < table.weights.length; i++) packed[i] = table.weights[i]!;
  writer.writeNumbers(packed, 0, table.weights.length);
}

function readTable(reader: BinaryReader): AffinityTable {
  const names = readStrings(reader);
  reader.readNumbers(packed, names.length);
  const weights: number[] = [];
  for (let i = 0; i < names.length; i++) weights.push(packed[i]!);
  return { names, weights, packedNames: undefined, timesWritten: 1 };
}

function skipTable(reader: BinaryReader): void {
  const length = readLength(reader);
  for (let i = 0; i < length; i++) reader.readPlace();
  reader.skip(length * packed.BYTES_PER_ELEMENT);
}
