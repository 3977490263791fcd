/**
 * The words of the simulated shop: departments with their sections and things, style words, invented brands.
 *
 * Data only. Orders matter: lists are drawn from by position, so a word moved is another world for the same seed. A
 * section's slug is unique over all departments, because item ids start with it.
 */

/** What a picture shows; see picture.ts. */
export type Motif =
  | 'pot'
  | 'tent'
  | 'book'
  | 'disc'
  | 'leaf'
  | 'lamp'
  | 'chair'
  | 'shirt'
  | 'shoe'
  | 'block'
  | 'die'
  | 'bottle'
  | 'wheel'
  | 'lens'
  | 'pen'
  | 'cup'
  | 'paw'
  | 'ball'
  | 'frame'
  | 'watch';

export interface Section {
  readonly slug: string;
  readonly things: readonly string[];
}

export interface Department {
  readonly slug: string;
  readonly motif: Motif;
  /** Median price, EUR. */
  readonly price: number;
  /** Standard deviation of the price's logarithm. */
  readonly priceSpread: number;
  readonly sections: readonly Section[];
}

/** `'cookware: Saucepan, Skillet'` */
function section(text: string): Section {
  const [slug = '', things = ''] = text.split(': ');
  return { slug, things: things.split(', ') };
}

function department(slug: string, motif: Motif, prices: readonly [number, number], sections: string[]): Department {
  return { slug, motif, price: prices[0], priceSpread: prices[1], sections: sections.map(section) };
}

/** At most 20, the largest ones first. */
export const DEPARTMENTS: readonly Department[] = [
  department(
    'clothing',
    'shirt',
    [45, 0.5],
    [
      'knitwear: Cardigan, Jumper, Vest, Scarf',
      'jackets: Parka, Windbreaker, Overcoat, Anorak',
      'shirts: Shirt, Blouse, Polo, Tunic',
      'trousers: Chinos, Corduroys, Leggings, Shorts',
    ],
  ),
  department(
    'kitchen',
    'pot',
    [32, 0.6],
    [
      'cookware: Saucepan, Skillet, Casserole, Wok',
      'knives: Paring Knife, Cleaver, Bread Knife, Sharpener',
      'baking: Cake Tin, Whisk, Rolling Pin, Proofing Basket',
      'storage: Jar, Canister, Lunch Box, Spice Rack',
    ],
  ),
  department(
    'books',
    'book',
    [16, 0.35],
    [
      'mysteries: Mystery, Thriller, Whodunit, Case File',
      'travelogues: Travelogue, Atlas, Walking Guide, Field Diary',
      'histories: History, Biography, Chronicle, Memoir',
      'cookbooks: Cookbook, Recipe Collection, Larder Guide, Baker’s Manual',
      'fantasy: Saga, Fable, Quest, Chronicle of Dragons',
    ],
  ),
  department(
    'furniture',
    'chair',
    [190, 0.7],
    [
      'seating: Armchair, Stool, Bench, Rocker',
      'tables: Side Table, Desk, Trestle, Console',
      'shelving: Bookcase, Wall Shelf, Cabinet, Plinth',
      'bedroom: Bed Frame, Nightstand, Wardrobe, Dresser',
    ],
  ),
  department(
    'garden',
    'leaf',
    [24, 0.7],
    [
      'seeds: Seed Mix, Bulb Set, Meadow Blend, Herb Kit',
      'tools: Trowel, Secateurs, Rake, Dibber',
      'planters: Planter, Trough, Hanging Basket, Raised Bed',
      'watering: Watering Can, Hose Reel, Sprinkler, Rain Barrel',
    ],
  ),
  department(
    'electronics',
    'lens',
    [140, 0.8],
    [
      'cameras: Compact Camera, Field Camera, Instant Camera, Lens',
      'audio: Headphones, Speaker, Turntable, Earbuds',
      'wearables: Tracker, Smart Ring, Clip Sensor, Chest Strap',
      'chargers: Power Bank, Dock, Solar Charger, Cable Kit',
    ],
  ),
  department(
    'footwear',
    'shoe',
    [85, 0.45],
    [
      'trainers: Trainers, Runners, Court Shoes, Slip-ons',
      'boots: Ankle Boots, Hiking Boots, Chelsea Boots, Wellingtons',
      'sandals: Sandals, Espadrilles, Clogs, Mules',
    ],
  ),
  department(
    'beauty',
    'bottle',
    [22, 0.5],
    [
      'skincare: Day Cream, Serum, Cleanser, Face Oil',
      'fragrance: Cologne, Eau de Parfum, Room Mist, Solid Scent',
      'haircare: Shampoo, Hair Mask, Pomade, Comb',
    ],
  ),
  department(
    'outdoors',
    'tent',
    [75, 0.7],
    [
      'tents: Ridge Tent, Tarp, Bivouac, Hammock',
      'backpacks: Daypack, Rucksack, Dry Bag, Hip Pack',
      'camp-kitchen: Camp Stove, Kettle, Mess Kit, Flask',
      'climbing: Harness, Chalk Bag, Carabiner, Rope',
    ],
  ),
  department(
    'toys',
    'block',
    [19, 0.5],
    [
      'building-sets: Building Set, Marble Run, Crane Kit, Bridge Kit',
      'plush: Plush Bear, Plush Otter, Plush Whale, Plush Fox',
      'crafts: Bead Kit, Loom, Stamp Set, Clay Set',
    ],
  ),
  department(
    'lighting',
    'lamp',
    [58, 0.6],
    [
      'desk-lamps: Desk Lamp, Task Light, Clamp Lamp, Reading Light',
      'pendants: Pendant, Chandelier, Lantern, Globe Light',
      'candles: Candle, Tealight Set, Candlestick, Oil Lamp',
    ],
  ),
  department(
    'sports',
    'ball',
    [38, 0.6],
    [
      'yoga: Yoga Mat, Bolster, Yoga Block, Strap',
      'racket-games: Racket, Shuttle Set, Table Tennis Bat, Court Net',
      'swimming: Goggles, Swim Cap, Kickboard, Wetsuit',
      'strength: Kettlebell, Resistance Band, Dumbbell, Pull-up Bar',
    ],
  ),
  department(
    'games',
    'die',
    [34, 0.45],
    [
      'board-games: Board Game, Strategy Game, Family Game, Tile Game',
      'puzzles: Jigsaw, Wooden Puzzle, Brain Teaser, Map Puzzle',
      'card-games: Card Game, Trick-taking Game, Party Game, Deck',
    ],
  ),
  department(
    'music',
    'disc',
    [28, 0.8],
    [
      'vinyl: Album, Live Recording, Double LP, Single',
      'strings: Ukulele, Travel Guitar, Mandolin, String Set',
      'percussion: Cajon, Hand Drum, Shaker, Kalimba',
    ],
  ),
  department(
    'office',
    'pen',
    [14, 0.6],
    [
      'notebooks: Notebook, Planner, Sketchbook, Index Cards',
      'pens: Fountain Pen, Rollerball, Ink Set, Marker Set',
      'desk-tidy: Desk Organiser, Letter Tray, Pin Board, Bookend',
    ],
  ),
  department(
    'tea-and-coffee',
    'cup',
    [13, 0.45],
    [
      'teas: Green Tea, Breakfast Tea, Herbal Infusion, Oolong',
      'coffees: Espresso Beans, Filter Roast, Decaf Roast, Cold Brew',
      'teaware: Teapot, Pour-over Set, Mug, Hand Grinder',
    ],
  ),
  department(
    'cycling',
    'wheel',
    [64, 0.8],
    [
      'bicycle-parts: Saddle, Handlebar, Pedal Set, Wheelset',
      'cycle-bags: Pannier, Frame Bag, Saddlebag, Basket',
      'cycle-safety: Helmet, Bike Light, Lock, Bell',
    ],
  ),
  department(
    'pets',
    'paw',
    [18, 0.55],
    [
      'dog-gear: Lead, Dog Bed, Chew Toy, Dog Coat',
      'cat-gear: Scratching Post, Cat Tunnel, Feather Wand, Cat Cave',
      'bird-gear: Bird Feeder, Nest Box, Bird Bath, Suet Holder',
    ],
  ),
  department(
    'art',
    'frame',
    [49, 0.9],
    [
      'prints: Art Print, Poster, Linocut, Etching',
      'painting: Watercolour Set, Brush Set, Easel, Gouache Set',
      'ceramics: Vase, Bowl, Tile, Sculpture',
    ],
  ),
  department(
    'watches',
    'watch',
    [160, 0.8],
    [
      'wristwatches: Field Watch, Dress Watch, Diver, Chronograph',
      'clocks: Wall Clock, Alarm Clock, Mantel Clock, Travel Clock',
      'straps: Leather Strap, Mesh Bracelet, Canvas Strap, Buckle',
    ],
  ),
];

/** One pair a latent dimension of taste: the word for one end and for the other. */
export const STYLE_PAIRS: readonly (readonly [string, string])[] = [
  ['minimal', 'ornate'],
  ['warm', 'cool'],
  ['rugged', 'delicate'],
  ['vintage', 'modern'],
  ['natural', 'technical'],
  ['playful', 'serious'],
  ['compact', 'generous'],
  ['quiet', 'bold'],
];

export const COLOURS: readonly string[] =
  'Amber Indigo Moss Clay Slate Coral Ivory Plum Teal Ochre Charcoal Sage Rust Sand Cobalt Rose'.split(' ');

const BRAND_STARTS =
  'Ald Bram Corl Dunn Elm Farr Gild Hask Ing Jor Kest Lorn Marl Nesk Orr Penn Quill Rav Sten Tarn'.split(' ');
const BRAND_ENDS = 'erwick holt mere ley stow by field gate'.split(' ');
/** 160 names. Department d takes every n-th of them, so that brands keep to their trade. */
export const BRANDS: readonly string[] = BRAND_ENDS.flatMap((end) => BRAND_STARTS.map((start) => start + end));
