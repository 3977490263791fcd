/**
 * The model registry: a folder of published models, each version complete and signed, and which one is in use.
 *
 *     MODELS/keys/{private,public}.pem            Ed25519; the private one readable by its owner only
 *     MODELS/NAME/versions/VERSION/manifest.json  what it is, with the hash of every file
 *                                  manifest.sig   signature over the manifest's bytes
 *                                  …              item-ids.json, user-ids.json and the model's own files
 *     MODELS/NAME/current.json                    version in use and the ones before it, latest first
 *
 * A version is written aside and renamed when it is on disk, then current.json is replaced by a rename: readers see the old
 * version or the new one, whole. Versions are never changed.
 *
 * Invariant: nothing is loaded of which signature, checksum or a file's hash does not fit; the model in use stays in use.
 */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EngineError } from '../../schemas/errors.js';
import type { Clock } from '../../streams/clock.js';
import { requireAlgorithm } from '../../serving/models/algorithms.js';
import type { LoadContext, Model, ModelFiles } from '../../serving/models/model.js';
import { jsonBytes } from '../../serving/models/model-files.js';
import { writeFolder } from './file-checkpoints.js';

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
  };
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

export interface LoadedModel extends Published {
  readonly model: Model;
  readonly itemIds: readonly string[];
  readonly userIds: readonly string[];
  readonly files: ModelFiles;
}

const ITEM_IDS = 'item-ids.json';
const USER_IDS = 'user-ids.json';
const MANIFEST = 'manifest.json';
const SIGNATURE = 'manifest.sig';
const CHECKSUM_DIGITS = 12;
/** Versions remembered for rolling back, and kept on disk. */
const VERSIONS_KEPT = 10;
const NAME_PATTERN = /^[a-z][a-z0-9_-]{0,63}$/;

interface Current {
  readonly version: string;
  /** Latest first. */
  readonly before: readonly string[];
}

export class ModelRegistry {
  constructor(
    private readonly folder: string,
    private readonly clock: Clock,
  ) {}

  /** Makes a version and puts it to use. */
  async publish(
    name: string,
    model: { readonly files: ModelFiles; readonly itemIds: readonly string[]; readonly userIds: readonly string[] },
    draft: ManifestDraft,
  ): Promise<Published> {
    requireName(name);
    const files: ModelFiles = {
      ...model.files,
      [ITEM_IDS]: jsonBytes(model.itemIds),
      [USER_IDS]: jsonBytes(model.userIds),
    };
    const hashes = Object.fromEntries(
      Object.keys(files)
        .sort()
        .map((file) => [file, sha256(files[file]!)]),
    );
    const publishedAt = this.clock.now();
    const stamp = new Date(publishedAt).toISOString().replace(/[-:]|\.\d+Z$/g, '');
    const version = `${stamp}-${sha256(jsonBytes(hashes)).slice(0, CHECKSUM_DIGITS)}`;
    const manifest: Manifest = { name, version, publishedAt, ...draft, files: hashes };
    const text = `${JSON.stringify(manifest, null, 2)}\n`;
    const signature = sign(null, Buffer.from(text), await this.privateKey()).toString('base64');
    const target = this.versionFolder(name, version);
    const aside = `${target}.next`;
    await rm(aside, { recursive: true, force: true });
    await writeFolder(aside, { ...files, [MANIFEST]: Buffer.from(text), [SIGNATURE]: Buffer.from(signature) });
    await rm(target, { recursive: true, force: true });
    await rename(aside, target);
    const before = await this.tryCurrent(name);
    const earlier = before === undefined ? [] : [before.version, ...before.before].filter((other) => other !== version);
    await this.setCurrent(name, { version, before: earlier.slice(0, VERSIONS_KEPT - 1) });
    await this.removeOld(name, [version, ...earlier]);
    return { manifest, text, checksum: sha256(Buffer.from(text)), signature };
  }

  /** Puts the version before the current one to use again, or the one named. Throws MODEL_UNKNOWN without such a one. */
  async rollBack(name: string, to?: string): Promise<Published> {
    const current = await this.requireCurrent(name);
    const version = to ?? current.before[0];
    if (version === undefined || !current.before.includes(version)) {
      const known = current.before.join(', ') || 'none';
      throw new EngineError(
        'MODEL_UNKNOWN',
        `'${name}' has no version '${to ?? 'before'}' to go back to; there are: ${known}.`,
      );
    }
    // Verified before it is put to use.
    const published = await this.describe(name, version);
    // What was rolled back is not something to go back to.
    const before = current.before.slice(current.before.indexOf(version) + 1);
    await this.setCurrent(name, { version, before });
    return published;
  }

  /** Names of the models there are, with the version in use and the ones before. */
  async list(): Promise<readonly { name: string; version: string; before: readonly string[] }[]> {
    if (!existsSync(this.folder)) return [];
    const names = (await readdir(this.folder)).filter((name) => existsSync(join(this.folder, name, 'current.json')));
    return Promise.all(names.sort().map(async (name) => ({ name, ...(await this.requireCurrent(name)) })));
  }

  /** Manifest of a version (the one in use by default), its signature verified. */
  async describe(name: string, version?: string): Promise<Published> {
    requireName(name);
    const chosen = version ?? (await this.requireCurrent(name)).version;
    const folder = this.versionFolder(name, chosen);
    let text: string;
    let signature: string;
    try {
      text = await readFile(join(folder, MANIFEST), 'utf8');
      signature = await readFile(join(folder, SIGNATURE), 'utf8');
    } catch (cause) {
      throw new EngineError('MODEL_INVALID', `Version '${chosen}' of '${name}' has no manifest or signature.`, {
        cause,
      });
    }
    if (!verify(null, Buffer.from(text), await this.publicKey(), Buffer.from(signature, 'base64'))) {
      throw new EngineError('MODEL_INVALID', `The signature of '${name}' ${chosen} does not fit its manifest.`);
    }
    const manifest = JSON.parse(text) as Manifest;
    return { manifest, text, checksum: sha256(Buffer.from(text)), signature };
  }

  /** The version in use (or the one named), every file checked against the signed manifest. */
  async load(name: string, context: LoadContext, version?: string): Promise<LoadedModel> {
    const published = await this.describe(name, version);
    const { manifest } = published;
    const folder = this.versionFolder(name, manifest.version);
    const read: Record<string, Uint8Array> = {};
    for (const [file, hash] of Object.entries(manifest.files)) read[file] = await readChecked(folder, file, hash);
    const { [ITEM_IDS]: itemIds, [USER_IDS]: userIds, ...files } = read;
    const artefact = { ...manifest, files };
    const model = await (await requireAlgorithm(manifest.algorithm)).load(artefact, context);
    return { ...published, model, files, itemIds: parseIds(itemIds, ITEM_IDS), userIds: parseIds(userIds, USER_IDS) };
  }

  async tryCurrent(name: string): Promise<Current | undefined> {
    requireName(name);
    try {
      return JSON.parse(await readFile(join(this.folder, name, 'current.json'), 'utf8')) as Current;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  private async requireCurrent(name: string): Promise<Current> {
    const current = await this.tryCurrent(name);
    if (current !== undefined) return current;
    throw new EngineError('MODEL_UNKNOWN', `There is no published model '${name}' in '${this.folder}'.`);
  }

  private async setCurrent(name: string, current: Current): Promise<void> {
    const path = join(this.folder, name, 'current.json');
    await writeFolder(join(this.folder, name), { 'current.next': jsonBytes(current) });
    await rename(join(this.folder, name, 'current.next'), path);
  }

  private async removeOld(name: string, versions: readonly string[]): Promise<void> {
    for (const version of versions.slice(VERSIONS_KEPT)) {
      await rm(this.versionFolder(name, version), { recursive: true, force: true });
    }
  }

  private versionFolder(name: string, version: string): string {
    return join(this.folder, name, 'versions', version);
  }

  private async privateKey(): Promise<KeyObject> {
    const path = join(this.folder, 'keys', 'private.pem');
    if (!existsSync(path)) await this.makeKeys();
    return createPrivateKey(await readFile(path));
  }

  private async publicKey(): Promise<KeyObject> {
    try {
      return createPublicKey(await readFile(join(this.folder, 'keys', 'public.pem')));
    } catch (cause) {
      throw new EngineError('MODEL_INVALID', `'${this.folder}' has no public key to verify models with.`, { cause });
    }
  }

  private async makeKeys(): Promise<void> {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const folder = join(this.folder, 'keys');
    await mkdir(folder, { recursive: true });
    // The public one first: with a private key there is always its other half.
    await writeFile(join(folder, 'public.pem'), publicKey.export({ type: 'spki', format: 'pem' }));
    const secret = privateKey.export({ type: 'pkcs8', format: 'pem' });
    await writeFile(join(folder, 'private.pem'), secret, { mode: 0o600 });
  }
}

function requireName(name: string): void {
  if (NAME_PATTERN.test(name)) return;
  throw new EngineError('USAGE_INVALID', `'${name}' is no name of a model: lower-case letters, digits, - and _.`);
}

async function readChecked(folder: string, file: string, hash: string): Promise<Uint8Array> {
  let bytes: Uint8Array;
  try {
    bytes = new Uint8Array(await readFile(join(folder, file)));
  } catch (cause) {
    throw new EngineError('MODEL_INVALID', `The published model in '${folder}' lacks '${file}'.`, { cause });
  }
  if (sha256(bytes) === hash) return bytes;
  throw new EngineError('MODEL_INVALID', `'${file}' in '${folder}' is not what was published: its hash differs.`);
}

function parseIds(bytes: Uint8Array | undefined, file: string): readonly string[] {
  if (bytes === undefined) throw new EngineError('MODEL_INVALID', `A published model lacks '${file}'.`);
  return JSON.parse(Buffer.from(bytes).toString('utf8')) as readonly string[];
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
