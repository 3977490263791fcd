/**
 * The model registry: a folder of published models, each version complete and signed, and which one is in use.
 *
 *     MODELS/keys, MODELS/NAME/versions/VERSION   keys and versions, as serving/models/published-version.ts tells
 *     MODELS/NAME/current.json                    version in use and the ones before it, latest first
 *
 * A version is written aside and renamed when it is on disk, then current.json is replaced by a rename: readers see the old
 * version or the new one, whole. Versions are never changed.
 *
 * Invariant: nothing is loaded of which signature, checksum or a file's hash does not fit; the model in use stays in use.
 */
import { createPrivateKey, generateKeyPairSync, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EngineError } from '../../schemas/errors.js';
import type { Clock } from '../../streams/clock.js';
import { requireAlgorithm } from '../../serving/models/algorithms.js';
import type { LoadContext, Model, ModelFiles } from '../../serving/models/model.js';
import { jsonBytes } from '../../serving/models/model-files.js';
import {
  ITEM_IDS,
  MANIFEST,
  readManifest,
  readVersionFiles,
  requireModelName,
  sha256,
  SIGNATURE,
  USER_IDS,
  versionFolder,
} from '../../serving/models/published-version.js';
import type { Manifest, ManifestDraft, Published, PublishedBytes } from '../../serving/models/published-version.js';
import { writeFolder } from './file-checkpoints.js';

export interface LoadedModel extends PublishedBytes {
  readonly model: Model;
}

const CHECKSUM_DIGITS = 12;
/** Versions remembered for rolling back, and kept on disk. */
const VERSIONS_KEPT = 10;

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
    requireModelName(name);
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
    const target = versionFolder(this.folder, name, version);
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
    requireModelName(name);
    const chosen = version ?? (await this.requireCurrent(name)).version;
    return readManifest(this.folder, name, chosen);
  }

  /** As `describe` of the version in use; undefined when nothing was published under the name. */
  async tryDescribe(name: string): Promise<Published | undefined> {
    return (await this.tryCurrent(name)) === undefined ? undefined : this.describe(name);
  }

  /** The version in use (or the one named), every file checked against the signed manifest. */
  async load(name: string, context: LoadContext, version?: string): Promise<LoadedModel> {
    const published = await this.describe(name, version);
    const bytes = await readVersionFiles(this.folder, published);
    const { manifest, files } = bytes;
    const model = await (await requireAlgorithm(manifest.algorithm)).load({ ...manifest, files }, context);
    return { ...bytes, model };
  }

  async tryCurrent(name: string): Promise<Current | undefined> {
    requireModelName(name);
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
      await rm(versionFolder(this.folder, name, version), { recursive: true, force: true });
    }
  }

  private async privateKey(): Promise<KeyObject> {
    const path = join(this.folder, 'keys', 'private.pem');
    if (!existsSync(path)) await this.makeKeys();
    return createPrivateKey(await readFile(path));
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
