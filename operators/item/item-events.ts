/**
 * The item stage's input as records: what `item-events` carries, and how the runtime reads it.
 *
 * One stage, one input topic, keyed by item: catalogue changes come from outside, signals from the user stage. Ticks and
 * the control record named `owner` are the runtime's own and never reach an operator.
 */
import { decodeRecord, encodeRecord } from '../../schemas/codec.js';
import { EngineError } from '../../schemas/errors.js';
import type {
  Control,
  ItemDelete,
  ItemExposure,
  ItemInteraction,
  ItemPair,
  ItemUpsert,
  Tick,
} from '../../schemas/records.js';
import type { InputCodec, RecordTimes, RuntimeRecord } from '../../streams/runtime/topology.js';

/** A record an operator of the item stage can meet. `Tick` is in the union because the codec decodes it. */
export type ItemEvent = ItemUpsert | ItemDelete | ItemInteraction | ItemExposure | ItemPair | Control | Tick;

/** Control record by which a task says that it owns the partition now; its version is the owner's token. */
const OWNER_CONTROL = 'owner';

const KINDS: ReadonlySet<string> = new Set<ItemEvent['kind']>([
  'ItemUpsert',
  'ItemDelete',
  'ItemInteraction',
  'ItemExposure',
  'ItemPair',
  'Control',
  'Tick',
]);

export function createItemEventsCodec(): InputCodec<ItemEvent> {
  return { decode, times, runtimeRecord, encodeRuntimeRecord };
}

function decode(value: Buffer): ItemEvent {
  const record = decodeRecord(value);
  if (KINDS.has(record.kind)) return record as ItemEvent;
  throw new EngineError(
    'EVENT_INVALID',
    `A ${record.kind} record does not belong on the item stage's input; expected one of ${[...KINDS].join(', ')}.`,
    { context: { kind: record.kind } },
  );
}

function times(record: ItemEvent): RecordTimes {
  switch (record.kind) {
    case 'ItemUpsert':
    case 'ItemDelete':
      return { ts: record.ts, receivedAt: record.receivedAt };
    default:
      // Signals carry the event time stage 1 has clamped already.
      return { ts: record.ts, receivedAt: undefined };
  }
}

function runtimeRecord(record: ItemEvent): RuntimeRecord | undefined {
  if (record.kind === 'Tick') return { type: 'tick', time: record.ts, owner: record.ownerToken };
  if (record.kind === 'Control' && record.name === OWNER_CONTROL) return { type: 'owner', owner: record.version };
  return undefined;
}

function encodeRuntimeRecord(record: RuntimeRecord): Uint8Array {
  return record.type === 'tick'
    ? encodeRecord('Tick', { ts: record.time, ownerToken: record.owner })
    : encodeRecord('Control', { ts: 0, name: OWNER_CONTROL, version: record.owner });
}
