/**
 * A bounded list of distinct names with the latest time each was met, newest first.
 *
 * Invariant: its content is a function of the set of (name, time) pairs put in, whatever their order and however they
 * were split over lists that were merged: a name's latest time is a maximum, and the `max` latest of a union are among
 * the `max` latest of its parts. Names met at the same time are ordered by name, descending.
 */
import type { BinaryReader, BinaryWriter } from '../state-layout.js';
import { readStrings, writeStrings } from './state-bytes.js';

export interface LatestList {
  readonly names: string[];
  /** Parallel to `names`; ms since epoch. */
  readonly times: number[];
}

export function emptyLatestList(): LatestList {
  return { names: [], times: [] };
}

/** Puts one pair in. Returns whether the name was there already. */
export function addLatest(list: LatestList, name: string, time: number, max: number): boolean {
  const { names, times } = list;
  const known = names.indexOf(name);
  if (known >= 0) {
    if (times[known]! >= time) return true;
    removeAt(list, known);
  }
  let place = 0;
  while (place < names.length && (times[place]! > time || (times[place]! === time && names[place]! > name))) place++;
  if (place < max) insertAt(list, place, name, time, max);
  return known >= 0;
}

/** Adds all of `other`. */
export function mergeLatest(list: LatestList, other: LatestList, max: number): void {
  for (let i = 0; i < other.names.length; i++) addLatest(list, other.names[i]!, other.times[i]!, max);
}

function removeAt(list: LatestList, index: number): void {
  const { names, times } = list;
  for (let i = index; i + 1 < names.length; i++) {
    names[i] = names[i + 1]!;
    times[i] = times[i + 1]!;
  }
  names.pop();
  times.pop();
}

function insertAt(list: LatestList, index: number, name: string, time: number, max: number): void {
  const { names, times } = list;
  if (names.length < max) {
    names.push(name);
    times.push(time);
  }
  for (let i = names.length - 1; i > index; i--) {
    names[i] = names[i - 1]!;
    times[i] = times[i - 1]!;
  }
  names[index] = name;
  times[index] = time;
}

/** Times are stored as distances from `base`. */
export function writeLatestList(list: LatestList, base: number, writer: BinaryWriter): void {
  writeStrings(list.names, writer);
  for (let i = 0; i < list.times.length; i++) writer.writeLong(base - list.times[i]!);
}

export function readLatestList(base: number, reader: BinaryReader): LatestList {
  const names = readStrings(reader);
  const times: number[] = [];
  for (let i = 0; i < names.length; i++) times.push(base - reader.readLong());
  return { names, times };
}
