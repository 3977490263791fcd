/** Packed texts are an array of strings, whatever is put where, through storage and back. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BinaryReader } from '../../schemas/binary-reader.js';
import { BinaryWriter } from '../../schemas/binary-writer.js';
import { PackedTexts } from '../../operators/packed-texts.js';

const text = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.string({ unit: 'grapheme', maxLength: 90 }),
  fc.constantFrom('', 'a'.repeat(63), 'b'.repeat(64), 'c'.repeat(9_000)),
);

describe('packed texts', () => {
  it('hold what an array of strings would', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(), text), { maxLength: 60 }), (puts) => {
        const packed = new PackedTexts();
        const plain: string[] = [];
        for (const [at, value] of puts) {
          const place = at % (plain.length + 1);
          packed.set(place, value);
          plain[place] = value;
        }
        expect(plain.map((_, place) => packed.at(place))).toEqual(plain);

        const writer = new BinaryWriter();
        writer.openScratch();
        packed.write(writer);
        const bytes = writer.takeScratch();
        writer.openScratch();
        for (const value of plain) writer.writeString(value);
        expect(bytes.equals(writer.takeScratch())).toBe(true);

        const reader = new BinaryReader();
        reader.open(bytes, 0);
        const again = new PackedTexts();
        const visited: string[] = [];
        again.read(reader, plain.length, (value) => visited.push(value));
        reader.close();
        expect(visited).toEqual(plain);
        expect(plain.map((_, place) => again.at(place))).toEqual(plain);
      }),
    );
  });
});
