/**
 * A picture as colours, edges and textures: fixed formulas, nothing learnt, nothing to download.
 *
 * | part | what is counted | size |
 * |---|---|---|
 * | colour | hue × saturation × brightness, 8 × 3 × 3, and 9 greys where there is no colour, of the whole picture | 81 |
 * | layout | mean colour (opponent: brightness, red–green, blue–yellow) on a grid of 4 × 4 | 48 |
 * | edges | directions of the gradient in 8 bins by strength, on a grid of 4 × 4 (Dalal & Triggs 2005, coarser) | 128 |
 * | texture | uniform local binary patterns of 8 neighbours (Ojala et al. 2002), 59 kinds, on a grid of 2 × 2 | 236 |
 *
 * Counts become square roots of shares (the Hellinger kernel: a cosine of such vectors compares distributions), each
 * part has length 1 before the four are joined, so none drowns the others; the mean over all pictures is taken away by
 * whoever compares.
 */
import type { ImageEncoder } from './encoder.js';
import { normalize } from './encoder.js';
import type { Picture } from './picture.js';
import { decodePicture } from './picture.js';

/** Pixels a side; what the issue of image networks calls 224². */
export const PICTURE_SIDE = 224;

const HUES = 8;
const LEVELS = 3;
const GREYS = 9;
const GRID = 4;
const DIRECTIONS = 8;
const TEXTURE_GRID = 2;
const NEIGHBOURS = 8;
/** Below this saturation a hue means nothing. */
const GREY_SATURATION = 0.12;

const COLOUR_SIZE = HUES * LEVELS * LEVELS + GREYS;
const LAYOUT_SIZE = GRID * GRID * 3;
const EDGE_SIZE = GRID * GRID * DIRECTIONS;
const UNIFORM_KINDS = uniformKinds();
const TEXTURE_KINDS = NEIGHBOURS * (NEIGHBOURS - 1) + 3;
const TEXTURE_SIZE = TEXTURE_GRID * TEXTURE_GRID * TEXTURE_KINDS;

export const DESCRIPTOR_SIZE = COLOUR_SIZE + LAYOUT_SIZE + EDGE_SIZE + TEXTURE_SIZE;

export const descriptors: ImageEncoder = {
  id: 'descriptors/1',
  dimensions: DESCRIPTOR_SIZE,
  encode: async (bytes) => {
    const picture = await decodePicture(bytes, { width: PICTURE_SIDE, height: PICTURE_SIDE, fit: 'fill' });
    return picture === undefined ? undefined : describePicture(picture);
  },
  close: async () => undefined,
};

/** The four parts, joined; length 1. */
export function describePicture(picture: Picture): Float32Array {
  const parts = [
    asShares(colourCounts(picture)),
    normalize(layoutColours(picture)),
    asShares(edgeCounts(picture)),
    asShares(textureCounts(picture)),
  ];
  const joined = new Float32Array(DESCRIPTOR_SIZE);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return normalize(joined);
}

function asShares(counts: Float32Array): Float32Array {
  return normalize(counts.map(Math.sqrt));
}

function colourCounts({ pixels }: Picture): Float32Array {
  const counts = new Float32Array(COLOUR_SIZE);
  for (let p = 0; p < pixels.length; p += 3) {
    const [red, green, blue] = [pixels[p]! / 255, pixels[p + 1]! / 255, pixels[p + 2]! / 255];
    const most = Math.max(red, green, blue);
    const spread = most - Math.min(red, green, blue);
    const saturation = most === 0 ? 0 : spread / most;
    if (saturation < GREY_SATURATION) counts[COLOUR_SIZE - GREYS + step(most, GREYS)]!++;
    else {
      const place = (step(hueOf(red, green, blue), HUES) * LEVELS + step(saturation, LEVELS)) * LEVELS;
      counts[place + step(most, LEVELS)]!++;
    }
  }
  return counts;
}

/** 0 red, 1/3 green, 2/3 blue; below 1. */
function hueOf(red: number, green: number, blue: number): number {
  const most = Math.max(red, green, blue);
  const spread = most - Math.min(red, green, blue);
  if (most === red) return ((green - blue) / spread / 6 + 1) % 1;
  return (most === green ? 2 + (blue - red) / spread : 4 + (red - green) / spread) / 6;
}

/** Which of n equal steps of [0, 1] a value lies in. */
function step(value: number, n: number): number {
  return Math.min(n - 1, Math.floor(value * n));
}

function layoutColours({ width, height, pixels }: Picture): Float32Array {
  const sums = new Float32Array(LAYOUT_SIZE);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const p = 3 * (y * width + x);
      const [red, green, blue] = [pixels[p]! / 255, pixels[p + 1]! / 255, pixels[p + 2]! / 255];
      const cell = 3 * cellOf(x, y, width, height, GRID);
      sums[cell]! += (red + green + blue) / 3 - 0.5;
      sums[cell + 1]! += (red - green) / 2;
      sums[cell + 2]! += (2 * blue - red - green) / 4;
    }
  }
  return sums;
}

function cellOf(x: number, y: number, width: number, height: number, grid: number): number {
  return Math.floor((y * grid) / height) * grid + Math.floor((x * grid) / width);
}

function greysOf({ pixels }: Picture): Float32Array {
  // Rec. 601 brightness, 0 to 255.
  return Float32Array.from(
    { length: pixels.length / 3 },
    (_, i) => 0.299 * pixels[3 * i]! + 0.587 * pixels[3 * i + 1]! + 0.114 * pixels[3 * i + 2]!,
  );
}

function edgeCounts(picture: Picture): Float32Array {
  const { width, height } = picture;
  const grey = greysOf(picture);
  const counts = new Float32Array(EDGE_SIZE);
  for (let y = 1; y + 1 < height; y++) {
    for (let x = 1; x + 1 < width; x++) {
      const i = y * width + x;
      const across = grey[i + 1]! - grey[i - 1]!;
      const down = grey[i + width]! - grey[i - width]!;
      // A direction and its opposite are the same edge.
      const direction = Math.floor((Math.atan2(down, across) / Math.PI + 1) * DIRECTIONS) % DIRECTIONS;
      counts[cellOf(x, y, width, height, GRID) * DIRECTIONS + direction]! += Math.hypot(across, down);
    }
  }
  return counts;
}

function textureCounts(picture: Picture): Float32Array {
  const { width, height } = picture;
  const grey = greysOf(picture);
  const around = [-width - 1, -width, -width + 1, 1, width + 1, width, width - 1, -1];
  const counts = new Float32Array(TEXTURE_SIZE);
  for (let y = 1; y + 1 < height; y++) {
    for (let x = 1; x + 1 < width; x++) {
      const i = y * width + x;
      let pattern = 0;
      for (let n = 0; n < NEIGHBOURS; n++) if (grey[i + around[n]!]! >= grey[i]!) pattern |= 1 << n;
      counts[cellOf(x, y, width, height, TEXTURE_GRID) * TEXTURE_KINDS + UNIFORM_KINDS[pattern]!]!++;
    }
  }
  return counts;
}

/** Pattern -> kind: the 58 with at most two changes around the circle have one each, all others share the last. */
function uniformKinds(): Uint8Array {
  const kinds = new Uint8Array(1 << NEIGHBOURS);
  let next = 0;
  const others = NEIGHBOURS * (NEIGHBOURS - 1) + 2;
  for (let pattern = 0; pattern < kinds.length; pattern++) {
    const turned = (pattern >> 1) | ((pattern & 1) << (NEIGHBOURS - 1));
    let changes = 0;
    for (let bits = pattern ^ turned; bits > 0; bits >>= 1) changes += bits & 1;
    kinds[pattern] = changes <= 2 ? next++ : others;
  }
  return kinds;
}
