/** Pictures: the same for an id, harmless for any id, small. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pictureOf, pictureUrlOf } from '../../../jobs/simulate/picture.js';

describe('a picture', () => {
  it('depends on the id alone, with one motif a section', () => {
    expect(pictureOf('teas-1')).toBe(pictureOf('teas-1'));
    expect(pictureOf('teas-1')).not.toBe(pictureOf('teas-2'));
    const paths = (id: string) => pictureOf(id).match(/ d='[^']+'/g);
    expect(paths('teas-1')).toEqual(paths('teas-2'));
    expect(paths('teas-1')).not.toEqual(paths('tents-1'));
  });

  it('holds nothing of the id and stays small, whatever the id', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 100, unit: 'binary' }), (id) => {
        const svg = pictureOf(`<script>"${id}`);
        expect(svg).toMatch(/^<svg xmlns='http:\/\/www\.w3\.org\/2000\/svg' [^"]*<\/svg>$/);
        expect(svg).not.toContain('script');
        expect(svg.length).toBeLessThan(1_000);
        expect(decodeURIComponent(pictureUrlOf(id).slice('data:image/svg+xml,'.length))).toBe(pictureOf(id));
        expect(pictureUrlOf(id).length).toBeLessThan(1_500);
      }),
      { numRuns: 50 },
    );
  });
});
