/**
 * Pictures as numbers: the one file that imports sharp.
 *
 * Invariant: whatever the file's size, colour space, orientation or transparency, a picture is RGB, row by row, of
 * exactly the size asked for. Hostile files are bounded: pixels, not bytes, are what a decoder can be made to allocate.
 */
import sharp from 'sharp';
import type { Sharp } from 'sharp';

/** Pixels of RGB, three bytes each, rows from the top. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint8Array;
}

export interface DecodeOptions {
  readonly width: number;
  readonly height: number;
  /** fill: the whole picture, stretched. crop: its middle, after the shorter side was brought to `shorterSide`. */
  readonly fit: 'fill' | 'crop';
  /** Pixels of the shorter side before cropping; the larger of width and height by default. */
  readonly shorterSide?: number | undefined;
}

/** A picture of more is refused before it is decoded: 64 megapixels are 192 MB. */
const INPUT_PIXELS_MAX = 64_000_000;

/** Undefined when the bytes are not a picture that can be read, or one too large. */
export async function decodePicture(bytes: Uint8Array, options: DecodeOptions): Promise<Picture | undefined> {
  const { width, height, fit } = options;
  try {
    const upright = sharp(bytes, { limitInputPixels: INPUT_PIXELS_MAX, failOn: 'error' })
      .rotate()
      .flatten({ background: '#ffffff' })
      .toColourspace('srgb');
    const sized = fit === 'fill' ? upright.resize(width, height, { fit: 'fill' }) : await cropped(upright, options);
    const pixels = await sized.removeAlpha().raw().toBuffer();
    return pixels.length === width * height * 3 ? { width, height, pixels } : undefined;
  } catch {
    // sharp has no error codes; whatever it says, there is no picture.
    return undefined;
  }
}

async function cropped(upright: Sharp, { width, height, shorterSide }: DecodeOptions): Promise<Sharp> {
  const least = Math.max(width, height, shorterSide ?? 0);
  const scaled = await upright.resize(least, least, { fit: 'outside' }).png().toBuffer({ resolveWithObject: true });
  const left = Math.floor((scaled.info.width - width) / 2);
  const top = Math.floor((scaled.info.height - height) / 2);
  return sharp(scaled.data).extract({ left, top, width, height });
}
