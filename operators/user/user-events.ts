/**
 * How stage 1 reads its input topic: bytes to the record that the operators see.
 *
 * A Forwarded record is taken apart here: operators see the original record, and `forwardedPath` says which keys it
 * came through. So a record that reached an alias is folded into its final key by the very code that folds direct ones.
 * Invariant: operators take the person's id from `context.key`, never from the record: a forwarded record still names
 * the id it was written for, which is what lets it be encoded again unchanged.
 */
import { decodeRecord, encodeRecord } from '../../schemas/codec.js';
import { EngineError } from '../../schemas/errors.js';
import type {
  Control,
  Erase,
  Identify,
  Impression,
  Interaction,
  StateMerge,
  Tick,
  UserUpsert,
} from '../../schemas/records.js';
import type { InputCodec, RecordTimes, RuntimeRecord } from '../../streams/runtime/topology.js';

/** What a key that became another sends on. */
export type ForwardableRecord = Interaction | Impression | UserUpsert | Erase;

/** What the operators of stage 1 see. */
export type UserEvent = (ForwardableRecord | Identify | StateMerge | Tick | Control) & {
  /** Keys that sent this record on, oldest first; absent for a record that came straight. */
  readonly forwardedPath?: readonly string[];
};

/** Name of the control record that announces a new owner of the partition; its version is the owner's token. */
const OWNER_CONTROL = 'owner';

export function createUserEventsCodec(): InputCodec<UserEvent> {
  return {
    decode: decodeUserEvent,
    // Ticks and controls have no receivedAt: reading the absent field gives the undefined that the contract asks for.
    times: (record) => record as RecordTimes,
    runtimeRecord,
    encodeRuntimeRecord,
  };
}

function decodeUserEvent(value: Buffer): UserEvent {
  const record = decodeRecord(value);
  switch (record.kind) {
    case 'Interaction':
    case 'Impression':
    case 'UserUpsert':
    case 'Erase':
    case 'Identify':
    case 'StateMerge':
    case 'Tick':
    case 'Control':
      return record;
    case 'Forwarded':
      return unwrap(record.value, record.path);
    default:
      throw new EngineError('EVENT_INVALID', `A record of kind '${record.kind}' does not belong in user-events.`);
  }
}

function unwrap(value: Buffer, path: readonly string[]): UserEvent {
  const record = decodeRecord(value);
  switch (record.kind) {
    case 'Interaction':
    case 'Impression':
    case 'UserUpsert':
    case 'Erase':
      return Object.assign(record, { forwardedPath: path });
    default:
      throw new EngineError('EVENT_INVALID', `A record of kind '${record.kind}' is never forwarded.`);
  }
}

function runtimeRecord(record: UserEvent): RuntimeRecord | undefined {
  if (record.kind === 'Tick') return { type: 'tick', time: record.ts, owner: record.ownerToken };
  if (record.kind === 'Control' && record.name === OWNER_CONTROL) return { type: 'owner', owner: record.version };
  return undefined;
}

function encodeRuntimeRecord(record: RuntimeRecord): Uint8Array {
  return record.type === 'tick'
    ? encodeRecord('Tick', { ts: record.time, ownerToken: record.owner })
    : encodeRecord('Control', { ts: 0, name: OWNER_CONTROL, version: record.owner });
}
