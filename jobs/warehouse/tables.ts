/**
 * The analysts' tables, as forward-only migrations, and how long their rows stay.
 *
 * A table holds one row per thing that happened, as logged. Its sorting key begins with the day, which reports filter
 * by, and ends with what makes the row unique: a producer that sent an event twice gives two equal keys, and FINAL (in
 * the views) or a later merge leaves one. Blocks of rows repeat nothing, that is the sink's ledger's doing.
 *
 * Invariant: a released migration is never edited. A change is a new version at the end of `WAREHOUSE_MIGRATIONS`.
 */
import { type Migration, RECORD_COLUMNS, type Warehouse } from '../../streams/warehouse/warehouse.js';
import { EXPERIMENT_AND_LATENCY_VIEWS, VIEWS } from './views.js';

/** Tables that the follower fills. */
export type TableName = 'interactions' | 'impressions' | 'sessions' | 'rewards' | 'items' | 'dead_letters';

/** The column that gives each table's monthly partition. */
const TIME_COLUMNS: Readonly<Record<TableName, string>> = {
  interactions: 'ts',
  impressions: 'ts',
  sessions: 'start',
  rewards: 'viewedAt',
  items: 'ts',
  dead_letters: 'at',
};

/** Where a row comes from; `appendedAt` is when its record was logged, which retention goes by. */
const ORIGIN = `${RECORD_COLUMNS}, appendedAt DateTime64(3)`;
const WORD = 'LowCardinality(String)';
const WORDS = `Array(${WORD})`;

/** Shared by interactions and impressions. */
const EVENT = `${ORIGIN},
  eventId UUID, ts DateTime64(3), receivedAt DateTime64(3), utcOffsetMinutes Nullable(Int32),
  user UUID, anonymousUser Nullable(UUID), session Nullable(UUID), producer ${WORD}`;
const CONTEXT = `device ${WORD}, os ${WORD}, country ${WORD}, region ${WORD}, language ${WORD}, weather ${WORD}`;
/** What produced a recommendation. */
const POLICY = `eligibleCount Nullable(Int32), policy ${WORD}, models Map(${WORD}, ${WORD}),
  features ${WORD}, space ${WORD}, assignments Map(${WORD}, ${WORD})`;
/** For 'what did this person do' and for erasing a person; the sorting keys do not begin with people. */
const BY_USER = 'INDEX by_user user TYPE bloom_filter(0.01) GRANULARITY 4';

function createTable(name: TableName, columns: string, key: { primary: string; unique: string }): string {
  return `CREATE TABLE IF NOT EXISTS ${name} (${columns})
ENGINE = ReplacingMergeTree PARTITION BY toYYYYMM(${TIME_COLUMNS[name]})
PRIMARY KEY (${key.primary}) ORDER BY (${key.primary}, ${key.unique})`;
}

const TABLES = [
  createTable(
    'interactions',
    `${EVENT}, type ${WORD}, itemId String, value Nullable(Float64), currency ${WORD}, quantity Nullable(Float64),
  dwellMs Nullable(Int64), ${CONTEXT}, requestId String, placement ${WORD}, position Nullable(Int32),
  propensity Nullable(Float64), ${POLICY}, ${BY_USER}`,
    { primary: 'toDate(ts), type, itemId', unique: 'user, eventId' },
  ),
  createTable(
    'impressions',
    `${EVENT}, stage ${WORD}, requestId String, placement ${WORD}, position Int32, itemId String,
  propensity Nullable(Float64), source ${WORD}, slateSize UInt32, ${CONTEXT}, ${POLICY}, ${BY_USER}`,
    { primary: 'toDate(ts), placement, stage, requestId', unique: 'position, itemId' },
  ),
  createTable(
    'sessions',
    `${ORIGIN}, user UUID, session UUID, revision Int32, withdrawn Bool, start DateTime64(3), end DateTime64(3),
  durationMs Int64, pageViews Int32, interactions Int32, conversions Int32, bounced Bool, lastItems Array(String),
  categories ${WORDS}, ${BY_USER}`,
    { primary: 'toDate(start), user', unique: 'session, revision' },
  ),
  createTable(
    'rewards',
    `${ORIGIN}, user UUID, requestId String, placement ${WORD}, viewedAt DateTime64(3), settledAt DateTime64(3),
  position Int32, itemId String, propensity Nullable(Float64), reward Float64, feedback ${WORDS}, ${CONTEXT}, ${POLICY},
  ${BY_USER}`,
    { primary: 'toDate(viewedAt), placement, requestId', unique: 'position, itemId' },
  ),
  createTable(
    'items',
    `${ORIGIN}, eventId UUID, ts DateTime64(3), producer ${WORD}, itemId String, deleted Bool, title String,
  description String, categories ${WORDS}, brand ${WORD}, tags ${WORDS}, price Nullable(Float64), currency ${WORD},
  available Bool, publishedAt Nullable(DateTime64(3)), imageUrl String, attributes Map(${WORD}, String)`,
    { primary: 'itemId', unique: 'ts, eventId' },
  ),
  createTable(
    'dead_letters',
    `${ORIGIN}, at DateTime64(3), sourceTopic ${WORD}, sourcePartition Int32, sourceOffset Int64, code ${WORD},
  reason String, operator ${WORD}, user Nullable(UUID), itemId String, valueBytes UInt32`,
    { primary: 'toDate(at), sourceTopic, code', unique: 'sourcePartition, sourceOffset, operator, appendedAt' },
  ),
];

export const WAREHOUSE_MIGRATIONS: readonly Migration[] = [
  { version: 1, name: 'tables of events, sessions, rewards, items and dead letters', statements: TABLES },
  { version: 2, name: 'views for reports', statements: VIEWS },
  { version: 3, name: 'views of experiments and latency', statements: EXPERIMENT_AND_LATENCY_VIEWS },
];

/** The catalogue stays: an item that was upserted once is in it for as long as it exists. */
const EXPIRING: readonly TableName[] = ['interactions', 'impressions', 'sessions', 'rewards', 'dead_letters'];

const TTL = /\bTTL toDateTime\(appendedAt\) \+ toIntervalDay\((\d+)\)/;

/**
 * Lets rows expire `days` after their record was logged, not after the event's own time: imported history would be gone
 * at once. 0 keeps everything. Not a migration, because it follows the configuration. Does nothing where it is so already.
 */
export async function applyRetention(warehouse: Pick<Warehouse, 'query' | 'execute'>, days: number): Promise<void> {
  const tables = await warehouse.query<{ name: string; engine: string }>(
    `SELECT name, engine_full AS engine FROM system.tables
     WHERE database = currentDatabase() AND name IN {names:Array(String)} ORDER BY name`,
    { names: EXPIRING },
  );
  for (const { name, engine } of tables) {
    const present = Number(TTL.exec(engine)?.[1] ?? 0);
    if (present === days) continue;
    await warehouse.execute(
      days === 0
        ? `ALTER TABLE ${name} REMOVE TTL`
        : `ALTER TABLE ${name} MODIFY TTL toDateTime(appendedAt) + INTERVAL ${days} DAY`,
    );
  }
}
