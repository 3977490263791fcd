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

const change = fc.constantFrom('set', 'insert', 'removeFirst');

describe('packed texts', () => {
  it('hold what an array of strings would', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(change, fc.nat(), text), { maxLength: 60 }), (changes) => {
        const packed = new PackedTexts();
        const plain: string[] = [];
        for (const [kind, at, value] of changes) {
          const place = at % (plain.length + 1);
          if (kind === 'set') {
            packed.set(place, value);
            plain[place] = value;
          } else if (kind === 'insert') {
            packed.insert(place, value);
            plain.splice(place, 0, value);
          } else if (plain.length > 0) {
            packed.removeFirst();
            plain.shift();
          }
        }
        expect(packed.all()).toEqual(plain);
        expect(JSON.stringify(packed)).toBe(JSON.stringify(plain));
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
        reader.open(bytes, 0);
        const unseen = new PackedTexts();
        unseen.readUnseen(reader, plain.length);
        reader.close();
        expect(unseen.all()).toEqual(plain);
      }),
    );
  });
});
