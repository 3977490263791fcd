import { describe, expect, it } from 'vitest';
import { topOf } from '../../../../serving/models/fitting.js';
import type { RankedItems } from '../../../../serving/models/model.js';
import { SequenceLiveRetrieval } from '../../../../serving/models/sequential/live-retrieval.js';
import { EncoderScorer } from '../../../../serving/models/sequential/scorer.js';
import { seededRandom } from '../../../../streams/random.js';
import { ITEMS, smallTransformer } from './encoders.js';

const SHORT: RankedItems = { items: Int32Array.of(7), scores: Float32Array.of(1), basis: 'short_sequence' };

function liveOf(length: number) {
  const scorer = new EncoderScorer(smallTransformer({ length }), { similarity: 'dot', cosineScale: 1 });
  const model = { retrieve: () => SHORT };
  const live = new SequenceLiveRetrieval(model, scorer, { bytesMax: 2 ** 24, shortSequence: 3 });
  const scanned = (items: Int32Array): RankedItems => {
    const row = new Float32Array(ITEMS);
    scorer.scoreHistories([items], row);
    return topOf(row, 5, items);
  };
  return { live, scanned };
}

describe('live retrieval', () => {
  it('ranks as the whole history would, event by event, and leaves short ones to the model', () => {
    const { live, scanned } = liveOf(12);
    const random = seededRandom('live');
    const history = [1, 2];
    expect(live.retrieve('ada', { user: -1, items: Int32Array.from(history) }, 5)).toBe(SHORT);
    for (let n = 0; n < 9; n++) {
      history.push(random.int(ITEMS));
      const items = Int32Array.from(history);
      const { items: best, scores } = live.retrieve('ada', { user: -1, items, excluded: items }, 5);
      expect([...best]).toEqual([...scanned(items).items]);
      scanned(items).scores.forEach((score, i) => expect(scores[i]).toBeCloseTo(score, 3));
    }
    expect(live.usage()).toMatchObject({ hits: 8, misses: 1, users: 1 });
  });

  it('takes a question without news from the state, also after somebody else asked', () => {
    const { live, scanned } = liveOf(12);
    const ada = Int32Array.of(1, 1, 1, 1);
    const bob = Int32Array.of(4, 5, 6);
    for (const [person, items] of [
      ['ada', ada],
      ['bob', bob],
      ['ada', ada],
      ['bob', bob],
    ] as const) {
      expect([...live.retrieve(person, { user: -1, items }, 3).items].length).toBe(3);
    }
    expect([...live.retrieve('ada', { user: -1, items: ada, excluded: ada }, 5).items]).toEqual([
      ...scanned(ada).items,
    ]);
    expect(live.usage()).toMatchObject({ hits: 3, misses: 2 });
  });

  it('goes on from the state of a person whose history was cut to the latest items', () => {
    const { live } = liveOf(40);
    const random = seededRandom('cut');
    const items = Array.from({ length: 40 }, () => random.int(ITEMS));
    for (let end = 10; end <= 30; end++) {
      live.retrieve('ada', { user: -1, items: Int32Array.from(items.slice(Math.max(0, end - 20), end)) }, 5);
    }
    expect(live.usage()).toMatchObject({ hits: 20, misses: 1 });
  });
});
