/**
 * One published version of a model in a registry's folder, read and checked: what training writes and serving reads.
 *
 *     MODELS/keys/{private,public}.pem            Ed25519; the private one readable by its owner only
 *     MODELS/NAME/versions/VERSION/manifest.json  what it is, with the hash of every file
 *                                  manifest.sig   signature over the manifest's bytes
 *                                  …              item-ids.json, user-ids.json and the model's own files
 *
 * Invariant: nothing is handed out of which signature or a file's hash does not fit. Versions are never changed, so a
 * version may be read while another is published. Files are hashed as they are read, piece by piece: a large model does
 * not hold up the event loop.
 */
import { createHash, createPublicKey, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EngineError } from '../../schemas/errors.js';
import type { ModelFiles } from './model.js';

export interface ManifestDraft {
  readonly algorithm: string;
  readonly spaceId: string;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly seed: string;
  readonly itemCount: number;
  readonly userCount: number;
  readonly data: {
    /** File name, or 'warehouse'. */
    readonly source: string;
    readonly interactions: number;
    /** Of the first and the last interaction, ms; null for data without times. */
    readonly fromMs: number | null;
    readonly toMs: number | null;
    /** SHA-256 of the training set, hex. */
    readonly hash: string;
    /** What a history is: the items of a session, or everything a person did. Absent: of a person. */
    readonly isSessions?: boolean | undefined;
    /** Whether interactions counted by their weights. Absent: 1 each. */
    readonly hasWeights?: boolean | undefined;
  };
  /** What candidates are generated from, in files `candidate-…`; absent: all items are ranked. */
  readonly candidates?:
    | {
        /** Vectors and last items of this many people of the training set lie in the artefact, without their ids. */
        readonly people: number;
        readonly itemsPerPerson: number;
        readonly dimensions: number;
      }
    | undefined;
  /** Measured on what was kept back; empty without. */
  readonly metrics: Readonly<Record<string, number>>;
  readonly trainSeconds: number;
}

export interface Manifest extends ManifestDraft {
  readonly name: string;
  readonly version: string;
  readonly publishedAt: number;
  /** By file name: SHA-256, hex. */
  readonly files: Readonly<Record<string, string>>;
}

export interface Published {
  readonly manifest: Manifest;
  /** The manifest's very bytes, which are what is signed. */
  readonly text: string;
  /** SHA-256 of the manifest, hex: with it every file is fixed. */
  readonly checksum: string;
  /** Base64. */
  readonly signature: string;
}

/** The checked bytes of a version, its ids apart. */
export interface PublishedBytes extends Published {
  readonly files: ModelFiles;
  readonly itemIds: readonly string[];
  /** Empty when they were not asked for. */
  readonly userIds: readonly string[];
}

export const ITEM_IDS = 'item-ids.json';
export const USER_IDS = 'user-ids.json';
export const MANIFEST = 'manifest.json';
export const SIGNATURE = 'manifest.sig';
const NAME_PATTERN = /^[a-z][a-z0-9_-]{0,63}$/;
const VERSION_PATTERN = /^[A-Za-z0-9][A-Za-z0-9-]{0,127}$/;
/** Hashed between two turns of the event loop: about half a millisecond. */
const PIECE_BYTES = 1 << 20;

/** Throws USAGE_INVALID for what is no name: names become folders. */
export function requireModelName(name: string): void {
  if (NAME_PATTERN.test(name)) return;
  throw new EngineError('USAGE_INVALID', `'${name}' is no name of a model: lower-case letters, digits, - and _.`);
}

export function versionFolder(registry: string, name: string, version: string): string {
  return join(registry, name, 'versions', version);
}

/** Manifest of a version, its signature verified. Throws MODEL_INVALID. */
export async function readManifest(registry: string, name: string, version: string): Promise<Published> {
  requireModelName(name);
  if (!VERSION_PATTERN.test(version)) {
    throw new EngineError('MODEL_INVALID', `'${version.slice(0, 80)}' is no version of a model.`);
  }
  const folder = versionFolder(registry, name, version);
  let text: string;
  let signature: string;
  try {
    text = await readFile(join(folder, MANIFEST), 'utf8');
    signature = await readFile(join(folder, SIGNATURE), 'utf8');
  } catch (cause) {
    throw new EngineError('MODEL_INVALID', `Version '${version}' of '${name}' has no manifest or signature.`, {
      cause,
    });
  }
  if (!verify(null, Buffer.from(text), await publicKey(registry), Buffer.from(signature, 'base64'))) {
    throw new EngineError('MODEL_INVALID', `The signature of '${name}' ${version} does not fit its manifest.`);
  }
  const manifest = JSON.parse(text) as Manifest;
  if (manifest.name !== name || manifest.version !== version) {
    throw new EngineError('MODEL_INVALID', `The manifest of '${name}' ${version} is that of another model.`);
  }
  return { manifest, text, checksum: sha256(Buffer.from(text)), signature };
}

/** The files of a version but the omitted ones, checked against its manifest. Throws MODEL_INVALID. */
export async function readVersionFiles(
  registry: string,
  published: Published,
  omitted: ReadonlySet<string> = NOTHING_OMITTED,
): Promise<PublishedBytes> {
  const { manifest } = published;
  const folder = versionFolder(registry, manifest.name, manifest.version);
  const read: Record<string, Uint8Array> = {};
  for (const [file, hash] of Object.entries(manifest.files)) {
    if (!omitted.has(file)) read[file] = await readChecked(folder, file, hash);
  }
  const { [ITEM_IDS]: itemIds, [USER_IDS]: userIds, ...files } = read;
  return {
    ...published,
    files,
    itemIds: parseIds(itemIds, ITEM_IDS),
    userIds: omitted.has(USER_IDS) ? [] : parseIds(userIds, USER_IDS),
  };
}

const NOTHING_OMITTED: ReadonlySet<string> = new Set();

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

async function publicKey(registry: string): Promise<KeyObject> {
  try {
    return createPublicKey(await readFile(join(registry, 'keys', 'public.pem')));
  } catch (cause) {
    throw new EngineError('MODEL_INVALID', `'${registry}' has no public key to verify models with.`, { cause });
  }
}

async function readChecked(folder: string, name: string, hash: string): Promise<Uint8Array> {
  const found = createHash('sha256');
  let bytes: Uint8Array;
  try {
    const file = await open(join(folder, name), 'r');
    try {
      bytes = new Uint8Array((await file.stat()).size);
      for (let at = 0; at < bytes.length;) {
        const { bytesRead } = await file.read(bytes, at, Math.min(PIECE_BYTES, bytes.length - at), at);
        if (bytesRead === 0) break;
        found.update(bytes.subarray(at, at + bytesRead));
        at += bytesRead;
      }
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw new EngineError('MODEL_INVALID', `The published model in '${folder}' lacks '${name}'.`, { cause });
  }
  if (found.digest('hex') === hash) return bytes;
  throw new EngineError('MODEL_INVALID', `'${name}' in '${folder}' is not what was published: its hash differs.`);
}

function parseIds(bytes: Uint8Array | undefined, file: string): readonly string[] {
  if (bytes === undefined) throw new EngineError('MODEL_INVALID', `A published model lacks '${file}'.`);
  return JSON.parse(Buffer.from(bytes).toString('utf8')) as readonly string[];
}
