/**
 * Timers as bytes that sort as the port promises: time u48 (shifted), operator, 0, key. For stores that order by bytes.
 *
 * `lead` leaves room in front for whatever the store puts before its keys; it must be the same for all of one place.
 */
import { invariant } from '../../schemas/errors.js';
import type { TimerEntry } from './state-store.js';

/** Times are stored shifted, so that those before 1970 sort first. */
const TIME_SHIFT = 2 ** 47;
const TIME_BYTES = 6;

export function encodeTimer({ time, operator, key }: TimerEntry, lead = 0): Buffer {
  const shifted = time + TIME_SHIFT;
  const storable = Number.isInteger(time) && shifted >= 0 && shifted < 2 * TIME_SHIFT;
  invariant(storable, `Operator '${operator}' set a timer of '${key}' for ${time}; expected integer ms within 2^47`);
  invariant(!operator.includes('\0'), `Operator name ${JSON.stringify(operator)} holds a zero character`);
  const text = `${operator}\0${key}`;
  const bytes = Buffer.allocUnsafe(lead + TIME_BYTES + Buffer.byteLength(text));
  bytes.writeUIntBE(shifted, lead, TIME_BYTES);
  bytes.write(text, lead + TIME_BYTES);
  return bytes;
}

export function decodeTimer(bytes: Buffer, lead = 0): TimerEntry {
  const separator = bytes.indexOf(0, lead + TIME_BYTES);
  return {
    time: bytes.readUIntBE(lead, TIME_BYTES) - TIME_SHIFT,
    operator: bytes.toString('utf8', lead + TIME_BYTES, separator),
    key: bytes.toString('utf8', separator + 1),
  };
}

/** Before the first timer of this time or a later one; undefined when no timer can be that late. Any number will do. */
export function encodeTimerBound(time: number, lead = 0): Buffer | undefined {
  const shifted = Math.ceil(time) + TIME_SHIFT;
  if (shifted >= 2 * TIME_SHIFT) return undefined;
  const bytes = Buffer.allocUnsafe(lead + TIME_BYTES);
  bytes.writeUIntBE(Math.max(0, shifted), lead, TIME_BYTES);
  return bytes;
}
