/**
 * Training data from the warehouse: interactions by SQL, in parallel shards by hash of the person.
 *
 * Each shard is one streamed statement, sorted by person; what they give is taken person by person in order, so that the same
 * rows make the same training set, however many shards there are. People are pseudonyms there, and stay so in a model.
 *
 * A statement of one's own must give the columns user, itemId, timeMs, type and value, and may use the parameters
 * `{shard:UInt32}` and `{shards:UInt32}`; one that does not is run once.
 */
import { EngineError } from '../../schemas/errors.js';
import { INTERACTION_TYPES } from '../../schemas/records.js';
import type { InteractionType } from '../../schemas/records.js';
import { typeIndex } from '../../operators/user/event-weights.js';
import type { Warehouse } from '../../streams/warehouse/warehouse.js';
import { InteractionTable } from './interaction-table.js';

/** Parameters: shard and shards; the rows of one shard, by person and time. */
export const INTERACTIONS_SQL = `
SELECT toString(user) AS user, itemId, toUnixTimestamp64Milli(ts) AS timeMs, type, value
FROM interactions FINAL
WHERE cityHash64(user) % {shards:UInt32} = {shard:UInt32}
ORDER BY user, ts, eventId`;

export interface WarehouseSourceOptions {
  /** Statements that run side by side. */
  readonly shards: number;
  readonly sql?: string | undefined;
  readonly signal: AbortSignal;
  readonly onRows?: ((rows: number) => void) | undefined;
}

interface WarehouseInteraction {
  readonly user: string;
  readonly itemId: string;
  readonly timeMs: number | string;
  readonly type: string;
  readonly value: number | null;
}

/** A large extraction may take its time; it is cancelled by the signal. */
export const STATEMENT_MS_MAX = 6 * 3_600_000;
const ROWS_PER_REPORT = 10_000;

export async function readWarehouse(warehouse: Warehouse, options: WarehouseSourceOptions): Promise<InteractionTable> {
  const sql = options.sql ?? INTERACTIONS_SQL;
  const shards = sql.includes('{shard:') ? options.shards : 1;
  let rows = 0;
  const read = async (shard: number): Promise<WarehouseInteraction[]> => {
    const found: WarehouseInteraction[] = [];
    const limits = { timeoutMs: STATEMENT_MS_MAX, signal: options.signal };
    for await (const row of warehouse.queryStream<WarehouseInteraction>(sql, { shard, shards }, limits)) {
      found.push(checkRow(row));
      if (++rows % ROWS_PER_REPORT === 0) options.onRows?.(rows);
    }
    return found;
  };
  const parts = await Promise.all(Array.from({ length: shards }, (_, shard) => read(shard)));
  const table = new InteractionTable({ hasTimes: true, isSessions: false });
  for (const { user, itemId, timeMs, type, value } of merged(parts)) {
    table.add(user, itemId, { timeMs: Number(timeMs), type: typeIndex(type as InteractionType), value });
  }
  return table;
}

/** All rows of the least person that is next in any part, and so on; a person is in one part only. */
function* merged(parts: readonly (readonly WarehouseInteraction[])[]): Generator<WarehouseInteraction> {
  const places = parts.map(() => 0);
  for (;;) {
    let least = -1;
    parts.forEach((part, p) => {
      const next = part[places[p]!]?.user;
      if (next !== undefined && (least < 0 || next < parts[least]![places[least]!]!.user)) least = p;
    });
    if (least < 0) return;
    const part = parts[least]!;
    const { user } = part[places[least]!]!;
    while (part[places[least]!]?.user === user) yield part[places[least]!++]!;
  }
}

function checkRow(row: WarehouseInteraction): WarehouseInteraction {
  const isTyped = (INTERACTION_TYPES as readonly string[]).includes(row.type);
  if (isTyped && typeof row.user === 'string' && typeof row.itemId === 'string') return row;
  throw new EngineError(
    'TRAINING_SET_INVALID',
    `A row of the extraction is ${JSON.stringify(row).slice(0, 200)}; expected user, itemId, timeMs, type and value.`,
  );
}
