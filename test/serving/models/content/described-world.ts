/** The small world with contents: an item's taste is in its words, category, brand, price and the colour of its picture. */
import sharp from 'sharp';
import type { ItemContent, TrainingSet } from '../../../../serving/models/training-set.js';
import { smallWorld } from '../small-world.js';

const WORDS = [
  'detective murder clue suspect city crime inspector night',
  'spaceship planet galaxy robot alien star future captain',
  'kitchen recipe garden bread cooking chef flavour dinner',
  'football stadium league goal trainer match season team',
];
const CATEGORIES = ['crime', 'space', 'food', 'sport'];
const COLOURS = ['#202040', '#2060ff', '#e0a030', '#30c040'];

/** Contents by category only; nothing else is known. */
export function catalogueOf(categories: readonly (readonly string[])[]): ItemContent {
  const empty = categories.map(() => '');
  const none = categories.map(() => []);
  return { titles: empty, texts: empty, brands: empty, tags: none, numbers: {}, categories };
}

/** A picture of one colour, in PNG. */
export function plainPicture(colour: string, side = 32): Promise<Buffer> {
  return sharp({ create: { width: side, height: side, channels: 3, background: colour } })
    .png()
    .toBuffer();
}

/** Words of an item of this taste; two items of a taste share most but not all of them. */
export function wordsOfTaste(taste: number, item: number): string {
  const words = WORDS[taste]!.split(' ');
  return words.filter((_, place) => (place + item) % words.length !== 0).join(' ');
}

export function describedWorld(): TrainingSet {
  const set = smallWorld();
  const by = <V>(value: (taste: number, item: number) => V): V[] => set.itemIds.map((_, item) => value(item % 4, item));
  return {
    ...set,
    itemContent: {
      titles: by((_, item) => `Number ${item}`),
      texts: by(wordsOfTaste),
      categories: by((taste, item) => (item % 8 < 4 ? [CATEGORIES[taste]!, 'all'] : [CATEGORIES[taste]!])),
      brands: by((taste) => `house of ${CATEGORIES[taste]!}`),
      tags: by(() => []),
      numbers: { price: Float64Array.from(by((taste, item) => 10 * (taste + 1) + (item % 3))) },
      // Half have one, but every fifth of those has none: pictures take most of the time of a test.
      image: async (item) => (item >= 20 || item % 5 === 0 ? undefined : plainPicture(COLOURS[item % 4]!)),
    },
  };
}
