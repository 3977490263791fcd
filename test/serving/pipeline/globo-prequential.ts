/**
 * Prequential replay of news clicks through the item operators, the tables and the recommender: no log, no runtime.
 *
 * For each click that is not its session's first and whose article the session does not hold yet: take the top 10 from
 * what was seen strictly before, score hit and reciprocal rank, then learn. The user side is the least that retrieval
 * needs (items of the session), and the signals are those the user stage sends.
 */
import { createReadStream, existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { createGunzip } from 'node:zlib';
import { createItemOperators } from '../../../operators/item/index.js';
import type { ItemOperatorsConfig, ItemEvent } from '../../../operators/item/index.js';
import { decodeRecord } from '../../../schemas/codec.js';
import { sessionRef } from '../../../schemas/ids.js';
import type { UserSnapshotLike } from '../../../serving/retrieval/request.js';
import type { PipelineName, Recommender } from '../../../serving/pipeline/recommender.js';
import { ItemTables } from '../../../serving/tables/item-tables.js';
import { DirectStage } from '../../operators/item/direct-stage.js';

export const GLOBO_PATH = '../shared/data/globo/clicks-first-7-days.csv.gz';
export const hasGlobo = (): boolean => existsSync(GLOBO_PATH);

export interface Click {
  readonly user: string;
  readonly session: string;
  readonly item: string;
  readonly ts: number;
  readonly segments: readonly string[];
}

/** The first `limit` clicks in file order. */
export async function readGlobo(limit: number): Promise<Click[]> {
  const clicks: Click[] = [];
  const lines = createInterface({ input: createReadStream(GLOBO_PATH).pipe(createGunzip()) });
  let columns: Map<string, number> | undefined;
  for await (const line of lines) {
    const cells = line.split(',');
    if (columns === undefined) {
      columns = new Map(cells.map((name, index) => [name.trim(), index]));
      continue;
    }
    const cell = (name: string): string => cells[columns!.get(name)!]!;
    clicks.push({
      user: cell('user_id'),
      session: cell('session_id'),
      item: cell('click_article_id'),
      ts: Number(cell('click_timestamp')),
      segments: [`device/${cell('click_deviceGroup')}`, `country/${cell('click_country')}`],
    });
    if (clicks.length >= limit) break;
  }
  lines.close();
  return clicks;
}

export interface Variant {
  readonly name: string;
  readonly pipeline: PipelineName;
  readonly create: (tables: ItemTables) => Recommender;
}

export interface VariantScore {
  readonly name: string;
  readonly tests: number;
  readonly hitRate: number;
  readonly reciprocalRank: number;
  readonly microsPerRequest: number;
  /** Confidence and hit of each recommended item, for calibration; sampled. */
  readonly calibration: readonly (readonly [score: number, hit: boolean])[];
}

export interface ReplayResult {
  readonly scores: readonly VariantScore[];
  readonly signals: number;
  readonly publications: number;
  readonly publishedBytes: number;
  /** CPU time of operators, encoding and table application, and of this replay's own bookkeeping, per signal. */
  readonly microsPerSignal: number;
  /** Publications by facet. */
  readonly byFacet: ReadonlyMap<string, number>;
  readonly tables: ItemTables;
}

export interface ReplayOptions {
  readonly operators?: Partial<ItemOperatorsConfig>;
  /** Test every n-th click only. */
  readonly stride?: number;
  readonly pairWindow?: number;
  readonly pairDecay?: number;
  /** Leaves the tables empty: what the operators alone cost. */
  readonly withoutTables?: boolean;
}

/** CPU time of this thread's process: unlike wall time it does not grow when the machine is busy. */
function cpuMicros(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

const NONE: ReadonlySet<string> = new Set();

export function replay(
  clicks: readonly Click[],
  variants: readonly Variant[],
  options: ReplayOptions = {},
): ReplayResult {
  const { stride = 1, pairWindow = 5, pairDecay = 0.7 } = options;
  const tables = new ItemTables();
  const byFacet = new Map<string, number>();
  const stage = new DirectStage(
    createItemOperators({ topic: 'item-state', space: 'items-1', ...options.operators }),
    ({ key, value, version }) => {
      const facet = key.slice(key.indexOf('\u0000') + 1).split('/')[0]!;
      byFacet.set(facet, (byFacet.get(facet) ?? 0) + 1);
      if (options.withoutTables === true) return;
      if (value.length === 0) tables.withdraw(key, version);
      else tables.apply(decodeRecord(value));
    },
  );
  const meters = variants.map(({ name, pipeline, create }) => ({
    name,
    pipeline,
    recommender: create(tables),
    tests: 0,
    hits: 0,
    reciprocal: 0,
    micros: 0,
    calibration: [] as [number, boolean][],
  }));
  const sessions = new Map<string, string[]>();
  let tests = 0;
  let signals = 0;
  const startMicros = cpuMicros();
  let requestMicros = 0;
  for (const click of clicks) {
    let items = sessions.get(click.session);
    if (items === undefined) sessions.set(click.session, (items = []));
    const isNew = !items.includes(click.item);
    const ref = sessionRef(click.user, click.session);
    if (items.length > 0 && isNew && ++tests % stride === 0) {
      const known = items;
      const user: UserSnapshotLike = {
        sessionItems: items,
        recentItems: [],
        seen: (itemId) => known.includes(itemId),
        blockedItems: NONE,
        categoryAffinities: [],
        segments: click.segments,
        embedding: undefined,
        embeddingSpace: undefined,
        sessionRef: ref,
      };
      for (const meter of meters) {
        const start = cpuMicros();
        const result = meter.recommender.recommend({
          user,
          placement: 'home',
          limit: 10,
          now: click.ts,
          pipeline: meter.pipeline,
        });
        const micros = cpuMicros() - start;
        meter.micros += micros;
        requestMicros += micros;
        meter.tests++;
        const place = result.items.findIndex(({ itemId }) => itemId === click.item);
        if (place >= 0) {
          meter.hits++;
          meter.reciprocal += 1 / (place + 1);
        }
        if (tests % 10 === 0) result.items.forEach((item, i) => meter.calibration.push([item.score, i === place]));
      }
    }
    for (const [key, event] of signalsOf(click, items, isNew, ref, pairWindow, pairDecay)) {
      stage.process(event, key);
      signals++;
    }
    if (isNew) items.push(click.item);
  }
  const scores = meters.map((meter) => ({
    name: meter.name,
    tests: meter.tests,
    hitRate: meter.hits / meter.tests,
    reciprocalRank: meter.reciprocal / meter.tests,
    microsPerRequest: meter.micros / meter.tests,
    calibration: meter.calibration,
  }));
  return {
    scores,
    signals,
    publications: stage.publications,
    publishedBytes: stage.publishedBytes,
    tables,
    microsPerSignal: (cpuMicros() - startMicros - requestMicros) / signals,
    byFacet,
  };
}

/** What the user stage tells the items of one click. */
function signalsOf(
  click: Click,
  before: readonly string[],
  isNew: boolean,
  ref: number,
  window: number,
  decay: number,
): [string, ItemEvent][] {
  const { item, ts, segments } = click;
  const interaction = {
    kind: 'ItemInteraction',
    itemId: item,
    ts,
    type: 'click',
    weight: 1,
    sessionRef: ref,
    categories: [],
    segments,
    attributed: false,
    space: null,
    userVector: null,
  } as const;
  const signals: [string, ItemEvent][] = [[item, interaction]];
  if (!isNew) return signals;
  for (let d = 1; d <= Math.min(window, before.length); d++) {
    const other = before[before.length - d]!;
    const weight = decay ** (d - 1);
    signals.push([other, { kind: 'ItemPair', itemId: other, otherItemId: item, ts, weight, following: true }]);
    signals.push([item, { kind: 'ItemPair', itemId: item, otherItemId: other, ts, weight, following: false }]);
  }
  return signals;
}
