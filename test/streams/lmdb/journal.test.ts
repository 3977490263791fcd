import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../streams/clock.js';
import { Journal } from '../../../streams/lmdb/journal.js';

const directories: string[] = [];
const open: Journal[] = [];

function createJournal(mayGrow: (bytes: number) => boolean = () => true, last = 0) {
  const directory = mkdtempSync(join(tmpdir(), 'freshet-journal-'));
  directories.push(directory);
  const journal = new Journal(directory, last, mayGrow, systemClock);
  journal.begin();
  open.push(journal);
  return { directory, journal, segments: () => segmentsOf(directory) };
}

function segmentsOf(directory: string): string[] {
  const folder = join(directory, 'journal');
  return readdirSync(folder).map((name) => join(folder, name));
}

/** As text, with sequences. */
const recovered = (directory: string, flushed: number): string[] =>
  Journal.recover(directory, flushed).map(({ sequence, payload }) => `${sequence}:${payload.toString().slice(0, 8)}`);

const append = (journal: Journal, ...texts: string[]): void =>
  texts.forEach((text) => journal.append(Buffer.from(text)));

afterEach(async () => {
  for (const journal of open.splice(0)) await journal.close();
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

describe('a journal', () => {
  it('gives back what is not flushed, in order', async () => {
    const { directory, journal } = createJournal();
    append(journal, 'a', 'b', 'c');
    await journal.synced();
    expect(recovered(directory, 0)).toEqual(['1:a', '2:b', '3:c']);
    expect(recovered(directory, 2)).toEqual(['3:c']);
    expect(recovered(directory, 3)).toEqual([]);
  });

  it('ends at an entry that is torn, wherever it is cut', () => {
    const { directory, journal, segments } = createJournal();
    append(journal, 'first', 'second');
    const [path] = segments() as [string];
    const whole = readFileSync(path);
    const end = 2 * 14 + 'first'.length + 'second'.length;
    for (let size = end - 1; size > 14 + 'first'.length; size--) {
      truncateSync(path, size);
      expect(recovered(directory, 0)).toEqual(['1:first']);
    }
    whole[end - 1] = whole[end - 1]! ^ 1;
    writeFileSync(path, whole);
    expect(recovered(directory, 0)).toEqual(['1:first']);
  });

  it('writes over what was released, and is not misled by what is left of it', () => {
    const { directory, journal, segments } = createJournal();
    append(journal, 'a', 'b', 'c', 'd');
    journal.release(4);
    append(journal, 'e');
    expect(segments()).toHaveLength(1);
    expect(recovered(directory, 4)).toEqual(['5:e']);
    // The file still holds whole entries of the same length behind it.
    expect(readFileSync(segments()[0]!).subarray(15, 30).toString()).toContain('b');
  });

  it('goes on in another segment when one is full, and keeps it until all of it is released', () => {
    const { directory, journal, segments } = createJournal();
    const large = (letter: string): string => letter.repeat(5 * 1_048_576);
    append(journal, large('a'), large('b'), large('c'));
    expect(segments()).toHaveLength(3);
    journal.release(2);
    expect(recovered(directory, 2)).toEqual(['3:cccccccc']);
    append(journal, large('d'), large('e'));
    expect(segments()).toHaveLength(3);
    expect(recovered(directory, 2)).toEqual(['3:cccccccc', '4:dddddddd', '5:eeeeeeee']);
  });

  it('makes a file longer in large steps, and refuses an entry that needs more than the disk may give', () => {
    let isAllowed = true;
    const { directory, journal, segments } = createJournal(() => isAllowed);
    append(journal, 'a');
    const { size } = statSync(segments()[0]!);
    isAllowed = false;
    append(journal, 'b');
    expect(statSync(segments()[0]!).size).toBe(size);
    expect(() => append(journal, 'x'.repeat(size))).toThrow(expect.objectContaining({ code: 'ENOSPC' }));
    append(journal, 'c');
    expect(recovered(directory, 0)).toEqual(['1:a', '2:b', '3:c']);
  });

  it('begins behind the last sequence, and without anything that was there', () => {
    const { directory, journal } = createJournal();
    append(journal, 'a', 'b');
    const next = new Journal(directory, 7, () => true, systemClock);
    open.push(next);
    next.begin();
    append(next, 'c');
    expect(recovered(directory, 0)).toEqual([]);
    expect(recovered(directory, 7)).toEqual(['8:c']);
  });

  it('resolves all who wait for a sync with that sync or the next one', async () => {
    const { journal } = createJournal();
    append(journal, 'a');
    const first = journal.synced();
    append(journal, 'b');
    const second = journal.synced();
    expect(journal.synced()).toBe(second);
    await Promise.all([first, second]);
    await journal.synced();
  });
});
