/**
 * A text as counts in hashed buckets: whole words, and the character n-grams of each, as fastText's subwords (Bojanowski
 * et al. 2017), so that 'thriller' and 'thrillers', or a word misspelt, share most of what they are counted as.
 *
 * Word w of a text adds 1 to its own bucket and 1/n to each of the buckets of its n subwords ('<w>' in pieces of 4 and 5
 * characters). Nothing is looked up, so a text never seen before is counted the same way.
 *
 * Worked example: 'crime' counts 1 for 'crime' and 1/7 for each of <cri crim rime ime> <crim crime rime>.
 */
import { murmur2 } from '../../../../schemas/murmur.js';

/** Buckets of words and subwords; two features share one with a probability of about features / buckets. */
export const BUCKET_BITS = 18;
const BUCKET_SHIFT = 32 - BUCKET_BITS;
const SUBWORD_LENGTHS = [4, 5] as const;
/** Longer 'words' are addresses and the like. */
const WORD_LENGTH_MAX = 40;

/** Lower case, without accents; at most `tokensMax`, from the beginning. */
export function wordsOf(text: string, tokensMax: number): string[] {
  const plain = text
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '')
    .toLowerCase();
  const words: string[] = [];
  for (const [word] of plain.matchAll(/[\p{L}\p{N}]+/gu)) {
    if (words.length >= tokensMax) break;
    words.push(word.slice(0, WORD_LENGTH_MAX));
  }
  return words;
}

export function wordBucket(word: string): number {
  return murmur2(word) >>> BUCKET_SHIFT;
}

/** Bucket -> count. Subwords hash with their length's mark, so that 'crime' the word is not 'crime' the piece. */
export function countFeatures(words: readonly string[]): Map<number, number> {
  const counts = new Map<number, number>();
  const add = (bucket: number, count: number): void => void counts.set(bucket, (counts.get(bucket) ?? 0) + count);
  for (const word of words) {
    add(wordBucket(word), 1);
    const framed = `<${word}>`;
    let pieces = 0;
    for (const length of SUBWORD_LENGTHS) pieces += Math.max(0, framed.length - length + 1);
    for (const length of SUBWORD_LENGTHS) {
      for (let at = 0; at + length <= framed.length; at++) {
        add(murmur2(`#${framed.slice(at, at + length)}`) >>> BUCKET_SHIFT, 1 / pieces);
      }
    }
  }
  return counts;
}
