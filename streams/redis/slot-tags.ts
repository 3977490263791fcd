/**
 * Where a task's keys live in a cluster: one hash slot a task, spread evenly whatever the number of masters.
 *
 * Masters own ranges of the 16,384 slots, so partitions 0, 1, 2 … get slots in van der Corput order (bits reversed):
 * any prefix of the sequence lies evenly on the whole range, hence every range of it gets its share, give or take one or
 * two, without anybody knowing how many partitions or masters there are. Stages are turned against each other, so that
 * their surplus partitions do not meet on one master. A slot is reached by a hash tag: the shortest number in base 36 whose
 * CRC16 is that slot.
 *
 * Invariant: the mapping is part of the stored layout and never changes.
 */
import { hash32 } from '../../schemas/ids.js';
import type { TaskId } from '../state/state-store.js';

export const SLOTS = 16_384;
const SLOT_BITS = 14;

/** CRC16-CCITT (XMODEM), as the Redis Cluster specification has it: polynomial 0x1021, start 0. */
export function slotOfTag(tag: string): number {
  let crc = 0;
  for (let i = 0; i < tag.length; i++) {
    crc ^= tag.charCodeAt(i) << 8;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff;
  }
  return crc % SLOTS;
}

export function slotOfTask({ stage, partition }: TaskId): number {
  let reversed = 0;
  for (let bit = 0; bit < SLOT_BITS; bit++) reversed |= ((partition >>> bit) & 1) << (SLOT_BITS - 1 - bit);
  return (reversed + (hash32(stage) >>> 0)) % SLOTS;
}

const tags: string[] = [];
let tried = 0;

/** The hash tag of a slot. The first call for a slot may take some ms; all are remembered. */
export function tagOfSlot(slot: number): string {
  for (; tags[slot] === undefined; tried++) {
    const tag = tried.toString(36);
    tags[slotOfTag(tag)] ??= tag;
  }
  return tags[slot];
}
