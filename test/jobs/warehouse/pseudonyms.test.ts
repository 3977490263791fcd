/** The key and what is made with it. */
import { createHmac } from 'node:crypto';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createPseudonyms as createBytes, openPseudonyms } from '../../../jobs/warehouse/pseudonyms.js';
import { systemRandom } from '../../../streams/random.js';
import { asText } from './text-slice.js';

const createPseudonyms = (key: Uint8Array) => asText(createBytes(key));

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'freshet-pseudonyms-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

describe('pseudonyms', () => {
  it('are the same for a person and a key, and differ between keys, persons and kinds of id', () => {
    const one = createPseudonyms(Buffer.alloc(32, 1));
    const two = createPseudonyms(Buffer.alloc(32, 2));
    expect(one.user('ann')).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(createPseudonyms(Buffer.alloc(32, 1)).user('ann')).toBe(one.user('ann'));
    const all = [one.user('ann'), two.user('ann'), one.user('bob'), one.event('ann'), one.session('ann', 's')];
    expect(new Set(all).size).toBe(all.length);
    expect(one.session('ab', 'c')).not.toBe(one.session('a', 'bc'));
  });

  it('are HMACs of the ids, whatever their length and letters', () => {
    const key = Buffer.from('0123456789abcdef0123456789abcdef');
    const pseudonyms = createPseudonyms(key);
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 400 }), (id) => {
        const hex = createHmac('sha256', key).update(`user\0${id}`).digest('hex');
        const digits = pseudonyms.user(id).replaceAll('-', '');
        expect(digits).toBe(`${hex.slice(0, 12)}8${hex.slice(13, 16)}a${hex.slice(17, 32)}`);
      }),
    );
  });

  it('stay the same however many others come between', () => {
    const pseudonyms = createPseudonyms(Buffer.alloc(32, 3));
    const first = Array.from({ length: 45_000 }, (_, i) => pseudonyms.user(`user ${i}`));
    expect(new Set(first).size).toBe(first.length);
    for (let i = 0; i < first.length; i += 997) expect(pseudonyms.user(`user ${i}`)).toBe(first[i]);
  });

  it('keep their key in the data directory, one for all who start together, readable by its owner only', async () => {
    const opened = await Promise.all([1, 2, 3, 4].map(() => openPseudonyms(directory, systemRandom())));
    expect(new Set(opened.map((pseudonyms) => asText(pseudonyms).user('ann'))).size).toBe(1);
    expect(await readdir(directory)).toEqual(['pseudonym.key']);
    expect((await stat(join(directory, 'pseudonym.key'))).mode & 0o777).toBe(0o600);
  });

  it('refuse a file that is no key instead of replacing it', async () => {
    await writeFile(join(directory, 'pseudonym.key'), 'abc');
    await expect(openPseudonyms(directory, systemRandom())).rejects.toMatchObject({ code: 'DATA_DIRECTORY_INVALID' });
  });
});
