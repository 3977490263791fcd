/**
 * What the reward join keeps of slates: served ones, so that a viewed record need not repeat what the server knew, and
 * viewed ones that wait for feedback. Encoded by hand, as nullable parts are mostly absent.
 */
import type { Assignment, Context, InteractionType, Versions } from '../../schemas/records.js';
import { typeAt, typeIndex } from './event-weights.js';
import type { BinaryReader, BinaryWriter } from '../state-layout.js';
import {
  packPart,
  readLength,
  readNullableDouble,
  readNullableString,
  readStringMap,
  unpackPart,
  writeNullableDouble,
  writeNullableString,
  writeStringMap,
} from './state-bytes.js';

/** What produced a slate. */
export interface SlateOrigin {
  requestId: string;
  placement: string;
  eligibleCount: number | null;
  versions: Versions | null;
  assignments: readonly Assignment[];
  context: Context | null;
}

export interface ServedSlate extends SlateOrigin {
  servedAt: number;
  readonly itemIds: string[];
  readonly positions: number[];
  readonly propensities: (number | null)[];
}

/** A served slate as it is kept: most are never asked for, so they stay packed. */
export interface PackedSlate {
  readonly requestId: string;
  readonly servedAt: number;
  readonly bytes: Buffer;
}

export function packServed(slate: ServedSlate): PackedSlate {
  return { requestId: slate.requestId, servedAt: slate.servedAt, bytes: packPart(slate, writeServed) };
}

export function unpackServed(packed: PackedSlate): ServedSlate {
  return unpackPart(packed.bytes, readServed);
}

export function writePacked(slate: PackedSlate, writer: BinaryWriter): void {
  writer.writeString(slate.requestId);
  writer.writeLong(slate.servedAt);
  writer.writeBytes(slate.bytes);
}

export function readPacked(reader: BinaryReader): PackedSlate {
  return { requestId: reader.readString(), servedAt: reader.readLong(), bytes: reader.readBytes() };
}

export interface Place {
  readonly itemId: string;
  readonly position: number;
  readonly propensity: number | null;
  /** Sum of reward weights; clipped when it is sent. */
  reward: number;
  readonly feedback: InteractionType[];
}

export interface PendingSlate extends SlateOrigin {
  viewedAt: number;
  readonly places: Place[];
}

/** Feedback that names a request whose view is not known yet. */
export interface EarlyFeedback {
  readonly requestId: string;
  readonly itemId: string;
  readonly type: InteractionType;
  readonly value: number | null;
  readonly at: number;
}

function writeOrigin(origin: SlateOrigin, writer: BinaryWriter): void {
  writer.writeString(origin.requestId);
  writer.writeString(origin.placement);
  writer.writeLong(origin.eligibleCount ?? -1);
  writeVersions(origin.versions, writer);
  writer.writeLong(origin.assignments.length);
  for (const { experiment, variant } of origin.assignments) {
    writer.writeString(experiment);
    writer.writeString(variant);
  }
  writeContext(origin.context, writer);
}

function readOrigin(reader: BinaryReader): SlateOrigin {
  const requestId = reader.readString();
  const placement = reader.readString();
  const eligibleCount = reader.readLong();
  const versions = readVersions(reader);
  const assignments: Assignment[] = [];
  const count = readLength(reader);
  for (let i = 0; i < count; i++) assignments.push({ experiment: reader.readString(), variant: reader.readString() });
  return {
    requestId,
    placement,
    eligibleCount: eligibleCount < 0 ? null : eligibleCount,
    versions,
    assignments,
    context: readContext(reader),
  };
}

function writeServed(slate: ServedSlate, writer: BinaryWriter): void {
  writeOrigin(slate, writer);
  writer.writeLong(slate.servedAt);
  writer.writeLong(slate.itemIds.length);
  for (let i = 0; i < slate.itemIds.length; i++) {
    writer.writeString(slate.itemIds[i]!);
    writer.writeLong(slate.positions[i]!);
    writeNullableDouble(slate.propensities[i]!, writer);
  }
}

function readServed(reader: BinaryReader): ServedSlate {
  const origin = readOrigin(reader);
  const slate = { servedAt: reader.readLong(), itemIds: [], positions: [], propensities: [], ...origin } as ServedSlate;
  const length = readLength(reader);
  for (let i = 0; i < length; i++) {
    slate.itemIds.push(reader.readString());
    slate.positions.push(reader.readLong());
    slate.propensities.push(readNullableDouble(reader));
  }
  return slate;
}

export function writePending(slate: PendingSlate, writer: BinaryWriter): void {
  writeOrigin(slate, writer);
  writer.writeLong(slate.viewedAt);
  writer.writeLong(slate.places.length);
  for (const place of slate.places) {
    writer.writeString(place.itemId);
    writer.writeLong(place.position);
    writeNullableDouble(place.propensity, writer);
    writer.writeDouble(place.reward);
    writer.writeLong(place.feedback.length);
    for (const type of place.feedback) writer.writeLong(typeIndex(type));
  }
}

export function readPending(reader: BinaryReader): PendingSlate {
  const origin = readOrigin(reader);
  const slate: PendingSlate = { viewedAt: reader.readLong(), places: [], ...origin };
  const length = readLength(reader);
  for (let i = 0; i < length; i++) {
    const itemId = reader.readString();
    const position = reader.readLong();
    const propensity = readNullableDouble(reader);
    const reward = reader.readDouble();
    const feedback: InteractionType[] = [];
    const count = readLength(reader);
    for (let k = 0; k < count; k++) feedback.push(typeAt(reader.readLong()));
    slate.places.push({ itemId, position, propensity, reward, feedback });
  }
  return slate;
}

export function writeEarly(feedback: EarlyFeedback, writer: BinaryWriter): void {
  writer.writeString(feedback.requestId);
  writer.writeString(feedback.itemId);
  writer.writeLong(typeIndex(feedback.type));
  writeNullableDouble(feedback.value, writer);
  writer.writeLong(feedback.at);
}

export function readEarly(reader: BinaryReader): EarlyFeedback {
  return {
    requestId: reader.readString(),
    itemId: reader.readString(),
    type: typeAt(reader.readLong()),
    value: readNullableDouble(reader),
    at: reader.readLong(),
  };
}

function writeVersions(versions: Versions | null, writer: BinaryWriter): void {
  writer.writeByte(versions === null ? 0 : 1);
  if (versions === null) return;
  writeNullableString(versions.policy, writer);
  writeStringMap(versions.models, writer);
  writeNullableString(versions.features, writer);
  writeNullableString(versions.space, writer);
}

function readVersions(reader: BinaryReader): Versions | null {
  if (!reader.readBoolean()) return null;
  return {
    policy: readNullableString(reader),
    models: readStringMap(reader),
    features: readNullableString(reader),
    space: readNullableString(reader),
  };
}

const CONTEXT_TEXTS = ['device', 'os', 'country', 'region', 'weather', 'referrer', 'page', 'language'] as const;

function writeContext(context: Context | null, writer: BinaryWriter): void {
  writer.writeByte(context === null ? 0 : 1);
  if (context === null) return;
  for (const name of CONTEXT_TEXTS) writeNullableString(context[name], writer);
  writeNullableDouble(context.latitude, writer);
  writeNullableDouble(context.longitude, writer);
  writeStringMap(context.attributes, writer);
}

function readContext(reader: BinaryReader): Context | null {
  if (!reader.readBoolean()) return null;
  const [device, os, country, region, weather, referrer, page, language] = CONTEXT_TEXTS.map(() =>
    readNullableString(reader),
  );
  return {
    device: device!,
    os: os!,
    country: country!,
    region: region!,
    weather: weather!,
    referrer: referrer!,
    page: page!,
    language: language!,
    latitude: readNullableDouble(reader),
    longitude: readNullableDouble(reader),
    attributes: readStringMap(reader),
  };
}
