import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../../streams/random.js';
import { descriptors, DESCRIPTOR_SIZE } from '../../../../../serving/models/content/encoders/image-descriptors.js';
import { LsaTextEncoder } from '../../../../../serving/models/content/encoders/lsa-text.js';
import { decodePicture } from '../../../../../serving/models/content/encoders/picture.js';
import { countFeatures, wordsOf } from '../../../../../serving/models/content/encoders/text-features.js';
import { plainPicture, wordsOfTaste } from '../described-world.js';

const cosine = (left: Float32Array, right: Float32Array): number =>
  left.reduce((sum, value, d) => sum + value * right[d]!, 0);

function lsaOf(texts: readonly string[], dimensionsMax = 8): LsaTextEncoder {
  const encoder = LsaTextEncoder.fit(texts, {
    dimensionsMax,
    featuresMax: 5_000,
    tokensMax: 512,
    random: seededRandom(1),
    onStep: () => undefined,
    requireBytes: () => undefined,
  });
  if (encoder === undefined) throw new Error('nothing learnt');
  return encoder;
}

describe('words and subwords', () => {
  it('are lower case, without accents, at most so many', () => {
    expect(wordsOf('Crème BRÛLÉE, 2 ways — 東京', 10)).toEqual(['creme', 'brulee', '2', 'ways', '東京']);
    expect(wordsOf('a b c d', 2)).toEqual(['a', 'b']);
  });

  it('count a word once and share one among its pieces', () => {
    const counts = countFeatures(['crime']);
    // The word, four pieces of 4 and three of 5 characters.
    expect([...counts.values()].map((value) => Math.round(value * 7))).toEqual([7, 1, 1, 1, 1, 1, 1, 1]);
  });

  it('make words of one stem share pieces, unrelated ones none', () => {
    const shared = (left: string, right: string): number => {
      const other = countFeatures([right]);
      return [...countFeatures([left]).keys()].filter((bucket) => other.has(bucket)).length;
    };
    expect(shared('detective', 'detectives')).toBeGreaterThan(8);
    expect(shared('detective', 'galaxy')).toBe(0);
  });
});

describe('latent space of texts', () => {
  const texts = Array.from({ length: 80 }, (_, item) => wordsOfTaste(item % 4, item));

  it('puts texts of one topic together, also those it never saw and words misspelt', () => {
    const encoder = lsaOf(texts);
    const [crime, crimeToo, space] = [
      'detectives suspected of a crime',
      'the inspektor and the suspect',
      'a robot on a planet',
    ].map((text) => encoder.encode([text]));
    expect(cosine(crime!, crimeToo!)).toBeGreaterThan(0.8);
    expect(cosine(crime!, space!)).toBeLessThan(0.2);
  });

  it('has fewer dimensions where there are few texts, and none where there is nothing', () => {
    expect(lsaOf(texts, 768).dimensions).toBeLessThanOrEqual(10);
    expect([...lsaOf(texts).encode([''])]).toEqual(Array.from({ length: lsaOf(texts).dimensions }, () => 0));
    expect(() => lsaOf(['', ''])).toThrow('nothing learnt');
  });

  it('names topics by their words', () => {
    const encoder = lsaOf(texts);
    const names = Array.from({ length: encoder.dimensions }, (_, d) => [
      ...encoder.topicTerms(d, 1),
      ...encoder.topicTerms(d, -1),
    ]).flat();
    expect(names).toEqual(expect.arrayContaining(['galaxy', 'stadium', 'recipe', 'detective']));
  });
});

describe('descriptors of pictures', () => {
  const describePng = async (colour: string): Promise<Float32Array> =>
    (await descriptors.encode(await plainPicture(colour)))!;

  it('are alike for like colours, whatever the size', async () => {
    const [red, darkerRed, blue] = await Promise.all(['#ff2020', '#f02828', '#2020ff'].map(describePng));
    const large = (await descriptors.encode(await plainPicture('#ff2020', 500)))!;
    expect(red!.length).toBe(DESCRIPTOR_SIZE);
    expect(cosine(red!, large)).toBeCloseTo(1, 5);
    expect(cosine(red!, darkerRed!)).toBeGreaterThan(cosine(red!, blue!) + 0.2);
  });

  it('tell stripes that lie from stripes that stand', async () => {
    const striped = async (isUpright: boolean): Promise<Float32Array> => {
      const pixels = Buffer.alloc(64 * 64 * 3, 0);
      for (let p = 0; p < 64 * 64; p++) if ((isUpright ? p % 64 : p / 64) % 16 < 8) pixels.fill(255, 3 * p, 3 * p + 3);
      const png = await sharp(pixels, { raw: { width: 64, height: 64, channels: 3 } })
        .png()
        .toBuffer();
      return (await descriptors.encode(png))!;
    };
    const [upright, again, lying] = [await striped(true), await striped(true), await striped(false)];
    expect(again).toEqual(upright);
    expect(cosine(upright, lying)).toBeLessThan(0.9);
  });

  it('are none for bytes that are no picture, or a damaged one', async () => {
    expect(await descriptors.encode(Buffer.from('not a picture'))).toBeUndefined();
    expect(await descriptors.encode((await plainPicture('#123456', 200)).subarray(0, 60))).toBeUndefined();
  });

  it('see a picture as it is shown: transparent is white, turned is upright', async () => {
    const transparent = await sharp({
      create: { width: 20, height: 20, channels: 4, background: { r: 0, g: 0, b: 0, alpha: 0 } },
    })
      .png()
      .toBuffer();
    const options = { width: 4, height: 4, fit: 'fill' } as const;
    expect([...(await decodePicture(transparent, options))!.pixels].every((value) => value === 255)).toBe(true);
    const wide = await sharp({ create: { width: 40, height: 20, channels: 3, background: '#808080' } })
      .jpeg()
      .toBuffer();
    expect(await decodePicture(wide, { width: 10, height: 10, fit: 'crop', shorterSide: 12 })).toMatchObject({
      width: 10,
      height: 10,
    });
  });
});
