/**
 * Records to bytes and back: what every topic of the log carries.
 *
 * Written as Avro single-object encoding: C3 01, the schema's CRC-64-AVRO fingerprint (8 bytes, little endian), the
 * value. Read as that, in any released version, or in Confluent framing: 00, schema id (4 bytes, big endian), the value.
 * Decoded records are always of the current version, whoever wrote them, and carry their `kind` on the prototype.
 * Bytes are hostile until decoded: whatever they are, the result is a record or an EngineError.
 */
import { AVRO_HISTORY, AVRO_SCHEMAS, type EmbeddedSchema } from './avro-schemas.js';
import { type ParsedSchema, parseSchema } from './avro.js';
import { BinaryType } from './binary-type.js';
import type { BinaryWriter } from './binary-writer.js';
import { EngineError, invariant } from './errors.js';
import { formatFingerprint, parseFingerprint } from './fingerprint.js';
import type { RecordView } from './record-view.js';
import type { AnyRecord, DraftByKind, RecordByKind, RecordKind } from './records.js';

/** Text of the schema that a registry knows under an id; undefined when it knows none. Must not change for an id. */
export type SchemaLookup = (id: number) => string | undefined;

/** C3 01 and the fingerprint. */
export const RECORD_HEADER_BYTES = 10;
const CONFLUENT_HEADER_BYTES = 5;

/** Registry ids remembered per lookup; beyond it the oldest is looked up again. */
const REGISTRY_IDS_MAX = 1000;

/** Encodes a record; EVENT_INVALID names the field that does not fit, its value and what was expected. */
export function encodeRecord<K extends RecordKind>(kind: K, draft: DraftByKind[K]): Buffer {
  return typeOf(kind).encode(draft);
}

/**
 * Encodes a record into `target` from `position` on and returns its end position, or a negative number when it does not
 * fit. Bytes beyond the end are not touched; after a failure those from `position` on are undefined.
 */
export function encodeRecordInto<K extends RecordKind>(
  kind: K,
  draft: DraftByKind[K],
  target: Buffer,
  position: number,
): number {
  return typeOf(kind).encodeInto(draft, target, position);
}

/** As `encodeRecord`, behind what a writer has written already, for those who put records into something larger. */
export function recordWriter<K extends RecordKind>(kind: K): (draft: DraftByKind[K], writer: BinaryWriter) => void {
  let type: KindType | undefined;
  return (draft, writer) => (type ??= typeOf(kind)).writeTo(draft, writer);
}

/**
 * Decodes one record that fills `bytes`. Nothing of `bytes` is kept.
 * @throws CODEC_UNKNOWN_SCHEMA when no schema is known for the header, CODEC_CORRUPT when the bytes do not fit it
 */
export function decodeRecord(bytes: Uint8Array, lookup?: SchemaLookup): AnyRecord {
  return requireVersion(bytes, lookup).decode(bytes);
}

/**
 * As `decodeRecord`, without making anything of texts, bytes and maps: what the record has there is told as places in
 * `bytes`, for those who carry them on as bytes. Accepts and refuses the same bytes.
 */
export function viewRecord(bytes: Uint8Array, lookup?: SchemaLookup): RecordView<AnyRecord> {
  return requireVersion(bytes, lookup).view(bytes);
}

function requireVersion(bytes: Uint8Array, lookup: SchemaLookup | undefined): Version {
  const first = bytes[0];
  if (first === 0xc3 && bytes[1] === 0x01 && bytes.length >= RECORD_HEADER_BYTES) {
    return findVersion(bytes) ?? failUnknown(bytes);
  }
  if (first === 0x00 && bytes.length >= CONFLUENT_HEADER_BYTES) {
    return requireRegistered(readUint32(bytes, 1), lookup);
  }
  const start = Buffer.from(bytes.subarray(0, RECORD_HEADER_BYTES)).toString('hex');
  throw new EngineError(
    'CODEC_CORRUPT',
    `${bytes.length} bytes beginning with "${start}" have no record header; expected c301 and a fingerprint, or 00 and a schema id`,
  );
}

/** Kind of an encoded record by its header alone; undefined when the header is not known. */
export function recordKindOf(bytes: Uint8Array, lookup?: SchemaLookup): RecordKind | undefined {
  if (bytes[0] === 0xc3 && bytes[1] === 0x01 && bytes.length >= RECORD_HEADER_BYTES) return findVersion(bytes)?.kind;
  if (bytes[0] !== 0x00 || bytes.length < CONFLUENT_HEADER_BYTES || lookup === undefined) return undefined;
  try {
    return requireRegistered(readUint32(bytes, 1), lookup).kind;
  } catch {
    return undefined;
  }
}

/** One version of one record kind that can be read. */
class Version {
  private decoder: ((bytes: Uint8Array, position?: number) => AnyRecord) | undefined;
  private viewer: ((bytes: Uint8Array, position?: number) => RecordView<AnyRecord>) | undefined;

  constructor(
    readonly kind: RecordKind,
    readonly low: number,
    readonly high: number,
    private readonly headerBytes: number,
    private readonly parse: () => ParsedSchema,
  ) {}

  /** Throws SCHEMA_INCOMPATIBLE. Otherwise done at the first record, not at load: most processes meet a few kinds only. */
  compile(): (bytes: Uint8Array, position?: number) => AnyRecord {
    return (this.decoder ??= typeOf(this.kind).decoderOf(this.parse()));
  }

  decode(bytes: Uint8Array): AnyRecord {
    return (this.decoder ?? this.compile())(bytes, this.headerBytes);
  }

  view(bytes: Uint8Array): RecordView<AnyRecord> {
    this.viewer ??= typeOf(this.kind).viewerOf(this.parse());
    return this.viewer(bytes, this.headerBytes);
  }
}

type KindType = BinaryType<AnyRecord, DraftByKind[RecordKind]>;

const TYPES = new Map<RecordKind, KindType>();
const SCHEMAS = new Map(AVRO_SCHEMAS.map((schema) => [schema.kind as RecordKind, schema]));

function typeOf(kind: RecordKind): KindType {
  return TYPES.get(kind) ?? createType(kind);
}

function createType(kind: RecordKind): KindType {
  const embedded = SCHEMAS.get(kind);
  if (embedded === undefined) {
    throw new EngineError(
      'EVENT_INVALID',
      `Record kind is "${String(kind).slice(0, 60)}"; expected one of RECORD_KINDS`,
    );
  }
  const parsed = parseSchema(embedded.schema);
  const { low, high } = parsed.fingerprint;
  invariant(formatFingerprint(parsed.fingerprint) === embedded.fingerprint, 'generated schemas are stale', { kind });
  const header = Buffer.alloc(RECORD_HEADER_BYTES);
  header.writeUInt16BE(0xc301, 0);
  header.writeUInt32LE(low, 2);
  header.writeUInt32LE(high, 6);
  const type: KindType = new BinaryType(kind, parsed, { header, kind });
  TYPES.set(kind, type);
  return type;
}

/** By the low half of the fingerprint; a list, since nothing but luck keeps two halves apart. */
const VERSIONS = new Map<number, Version[]>();
for (const schema of AVRO_SCHEMAS) addVersion(schema, (kind) => typeOf(kind).schema);
for (const schema of AVRO_HISTORY) addVersion(schema, () => parseSchema(schema.schema));

function addVersion(schema: EmbeddedSchema, parse: (kind: RecordKind) => ParsedSchema): void {
  const kind = schema.kind as RecordKind;
  const { low, high } = parseFingerprint(schema.fingerprint);
  const version = new Version(kind, low, high, RECORD_HEADER_BYTES, () => parse(kind));
  VERSIONS.set(low, [...(VERSIONS.get(low) ?? []), version]);
}

/** Batches are mostly of one kind: the version of the last record is tried before the table. */
let lastVersion: Version | undefined;

function findVersion(bytes: Uint8Array): Version | undefined {
  const low = readUint32Reversed(bytes, 2);
  const high = readUint32Reversed(bytes, 6);
  if (lastVersion !== undefined && lastVersion.low === low && lastVersion.high === high) return lastVersion;
  const version = VERSIONS.get(low)?.find((candidate) => candidate.high === high);
  if (version !== undefined) lastVersion = version;
  return version;
}

const REGISTERED = new WeakMap<SchemaLookup, Map<number, Version>>();

function requireRegistered(id: number, lookup: SchemaLookup | undefined): Version {
  const known = lookup === undefined ? undefined : REGISTERED.get(lookup);
  const version = known?.get(id);
  if (version !== undefined) return version;
  const source = lookup?.(id);
  if (lookup === undefined || source === undefined) {
    const reason = lookup === undefined ? 'no schema registry is configured' : 'the schema registry does not know it';
    throw new EngineError('CODEC_UNKNOWN_SCHEMA', `Schema id ${id}: ${reason}`, { context: { schemaId: id } });
  }
  const created = createRegistered(id, source);
  const versions = known ?? new Map<number, Version>();
  if (versions.size >= REGISTRY_IDS_MAX) versions.delete(versions.keys().next().value as number);
  REGISTERED.set(lookup, versions.set(id, created));
  return created;
}

function createRegistered(id: number, source: string): Version {
  const writer = parseSchema(source);
  const name = writer.node.type === 'record' ? writer.node.name : writer.node.type;
  const kind = name.slice(name.lastIndexOf('.') + 1) as RecordKind;
  if (!SCHEMAS.has(kind)) {
    throw new EngineError('CODEC_UNKNOWN_SCHEMA', `Schema id ${id} is of "${name}"; expected one of RECORD_KINDS`, {
      context: { schemaId: id },
    });
  }
  const { low, high } = writer.fingerprint;
  const version = new Version(kind, low, high, CONFLUENT_HEADER_BYTES, () => writer);
  version.compile();
  return version;
}

function failUnknown(bytes: Uint8Array): never {
  const fingerprint = formatFingerprint({ low: readUint32Reversed(bytes, 2), high: readUint32Reversed(bytes, 6) });
  throw new EngineError(
    'CODEC_UNKNOWN_SCHEMA',
    `Schema fingerprint ${fingerprint} is not known to this build; a newer release may have written the record`,
    { context: { fingerprint } },
  );
}

/** Little endian, as in the fingerprint. */
const readUint32Reversed = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)) >>>
  0;

const readUint32 = (bytes: Uint8Array, at: number): number =>
  (((bytes[at] as number) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)) >>>
  0;

/** Narrows a decoded record to one kind. */
export function isRecordOf<K extends RecordKind>(record: AnyRecord, kind: K): record is RecordByKind[K] {
  return record.kind === kind;
}
