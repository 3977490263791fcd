/**
 * The items of a simulated world: what anybody may know of them, and the hidden vector that tastes are matched with.
 *
 * Numbers are held in columns by item index, texts are made when asked for, so 100,000 items take some 15 MB. Items are
 * in the order of publication: at any time those published are the first n. Tags name the strongest ends of an item's
 * vector, which is how its content tells something about who will like it.
 */
import type { ItemUpsertDraft } from '../../schemas/records.js';
import type { Random } from '../../streams/random.js';
import { pictureUrlOf } from './picture.js';
import { drawFromSums, sumsOf } from './weighted-draw.js';
import { BRANDS, COLOURS, DEPARTMENTS, STYLE_PAIRS, type Department, type Section } from './word-lists.js';

export const TASTE_DIMENSIONS = STYLE_PAIRS.length;
/** Items of a section share this much of their direction. */
const SECTION_PULL = 0.8;
const DAY_MS = 86_400_000;
/** How far back the oldest item was published. */
const HISTORY_MS = 720 * DAY_MS;
/** Items still to be published at the start come out over this time. */
const FUTURE_MS = 30 * DAY_MS;
const BRANDS_PER_DEPARTMENT = BRANDS.length / DEPARTMENTS.length;
/** An end of the vector is worth a tag from this length on. */
const TAG_LEAST = 0.3;
const TAGS_MAX = 4;

export interface CatalogueOptions {
  readonly items: number;
  readonly departments: number;
  /** Share of the items that is published after the start. */
  readonly upcomingShare: number;
  readonly startMs: number;
  /** Address of an item's picture; default a data: URL. */
  readonly pictureUrl?: ((itemId: string) => string) | undefined;
}

/** Who writes the records of the catalogue, and when. */
export interface UpsertOrigin {
  readonly ts: number;
  readonly producerId: string;
  readonly eventId: string;
}

export class Catalogue {
  readonly count: number;
  readonly ids: readonly string[];
  readonly departments: readonly Department[];
  readonly department: Uint8Array;
  readonly section: Uint8Array;
  readonly price: Float64Array;
  /** Price in standard deviations of its department. */
  readonly priceLevel: Float32Array;
  /** Standard normal; seen by nobody, felt by all. */
  readonly quality: Float32Array;
  /** Draw on people who look around by themselves: heavy-tailed, with mean about 1. */
  readonly appeal: Float64Array;
  readonly publishedAt: Float64Array;
  /** `TASTE_DIMENSIONS` numbers an item, of length 1. */
  readonly vectors: Float32Array;
  private readonly looks: Uint32Array;
  private readonly pictureUrl: (itemId: string) => string;

  constructor(options: CatalogueOptions, random: Random) {
    const n = options.items;
    this.count = n;
    this.departments = DEPARTMENTS.slice(0, options.departments);
    this.department = new Uint8Array(n);
    this.section = new Uint8Array(n);
    this.price = new Float64Array(n);
    this.priceLevel = new Float32Array(n);
    this.quality = new Float32Array(n);
    this.appeal = new Float64Array(n);
    this.vectors = new Float32Array(n * TASTE_DIMENSIONS);
    this.looks = new Uint32Array(n);
    this.publishedAt = drawPublication(options, random.stream('publication'));
    this.pictureUrl = options.pictureUrl ?? pictureUrlOf;
    this.fill(random);
    this.ids = Array.from({ length: n }, (_, item) => `${this.sectionOf(item).slug}-${item}`);
  }

  /** Index of an item id, or −1 when it is not of this world. */
  indexOf(itemId: string): number {
    const item = Number(itemId.slice(itemId.lastIndexOf('-') + 1));
    return this.ids[item] === itemId ? item : -1;
  }

  /** How many items are out at a time: they are those with the lowest indexes. */
  publishedCount(at: number): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.publishedAt[middle]! > at) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  titleOf(item: number): string {
    const look = this.looks[item]!;
    const things = this.sectionOf(item).things;
    const style = this.tagsOf(item)[0] ?? 'plain';
    return `${this.brandOf(item)} ${style[0]!.toUpperCase()}${style.slice(1)} ${colourOf(look)} ${things[(look >>> 16) % things.length]!}`;
  }

  brandOf(item: number): string {
    const nth = (this.looks[item]! >>> 24) % BRANDS_PER_DEPARTMENT;
    return BRANDS[(this.department[item]! + nth * DEPARTMENTS.length) % BRANDS.length]!;
  }

  /** Style words, the strongest first; at least one. */
  tagsOf(item: number): string[] {
    const at = item * TASTE_DIMENSIONS;
    const strength = (dimension: number): number => Math.abs(this.vectors[at + dimension]!);
    const order = STYLE_PAIRS.map((_, dimension) => dimension).sort((a, b) => strength(b) - strength(a));
    return order
      .filter((dimension, rank) => rank === 0 || (rank < TAGS_MAX && strength(dimension) >= TAG_LEAST))
      .map((dimension) => STYLE_PAIRS[dimension]![this.vectors[at + dimension]! < 0 ? 0 : 1]);
  }

  sectionOf(item: number): Section {
    return this.departments[this.department[item]!]!.sections[this.section[item]!]!;
  }

  upsertOf(item: number, origin: UpsertOrigin): ItemUpsertDraft {
    const department = this.departments[this.department[item]!]!;
    const tags = this.tagsOf(item);
    const colour = colourOf(this.looks[item]!);
    const title = this.titleOf(item);
    return {
      eventId: origin.eventId,
      itemId: this.ids[item]!,
      ts: origin.ts,
      receivedAt: origin.ts,
      producerId: origin.producerId,
      title,
      description: `${title}: ${tags.join(', ')}; from our ${department.slug.replaceAll('-', ' ')} department.`,
      categories: [this.sectionOf(item).slug, department.slug],
      brand: this.brandOf(item),
      tags,
      price: this.price[item]!,
      currency: 'EUR',
      publishedAt: this.publishedAt[item]!,
      imageUrl: this.pictureUrl(this.ids[item]!),
      attributes: { colour: colour.toLowerCase() },
    };
  }

  private fill(random: Random): void {
    // Departments differ in size: the k-th is drawn with weight 1 / (k + 4).
    const sizes = sumsOf(this.departments.map((_, k) => 1 / (k + 4)));
    const centres = drawCentres(this.departments, random.stream('section-vectors'));
    const kinds = random.stream('kinds');
    const traits = random.stream('traits');
    const vectors = random.stream('vectors');
    for (let item = 0; item < this.count; item++) {
      const d = drawFromSums(sizes, 0, sizes.length, kinds);
      const department = this.departments[d]!;
      this.department[item] = d;
      this.section[item] = kinds.int(department.sections.length);
      this.looks[item] = kinds.uint32();
      const level = traits.gaussian();
      this.priceLevel[item] = level;
      this.price[item] = Math.max(1, Math.round(department.price * Math.exp(department.priceSpread * level) * 20) / 20);
      this.quality[item] = traits.gaussian();
      this.appeal[item] = Math.exp(0.9 * traits.gaussian() + 0.5 * this.quality[item]! - 0.53);
      this.writeVector(item, centres[d]![this.section[item]!]!, vectors);
    }
  }

  private writeVector(item: number, centre: Float64Array, random: Random): void {
    const at = item * TASTE_DIMENSIONS;
    const own = unitVector(random);
    let square = 0;
    for (let i = 0; i < TASTE_DIMENSIONS; i++) {
      own[i] = own[i]! + SECTION_PULL * centre[i]!;
      square += own[i]! ** 2;
    }
    for (let i = 0; i < TASTE_DIMENSIONS; i++) this.vectors[at + i] = own[i]! / Math.sqrt(square);
  }
}

/** A direction, uniformly. */
export function unitVector(random: Random): Float64Array {
  const vector = Float64Array.from({ length: TASTE_DIMENSIONS }, () => random.gaussian());
  const length = Math.hypot(...vector);
  return vector.map((x) => x / length);
}

function drawCentres(departments: readonly Department[], random: Random): Float64Array[][] {
  return departments.map((department) => department.sections.map(() => unitVector(random)));
}

/** Times of publication in ascending order: most in the years before the start, the rest in the weeks after it. */
function drawPublication(options: CatalogueOptions, random: Random): Float64Array {
  const times = new Float64Array(options.items);
  const upcoming = Math.floor(options.items * options.upcomingShare);
  for (let i = 0; i < times.length; i++) {
    const isUpcoming = i >= times.length - upcoming;
    const offset = isUpcoming ? 1 + random.float() * FUTURE_MS : -random.float() * HISTORY_MS;
    times[i] = Math.round(options.startMs + offset);
  }
  return times.sort();
}

const colourOf = (look: number): string => COLOURS[look % COLOURS.length]!;
