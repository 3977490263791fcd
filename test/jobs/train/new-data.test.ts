import { describe, expect, it } from 'vitest';
import { peopleWithNews, withItemsOf } from '../../../jobs/train/new-data.js';
import { trainingSetOf } from '../../serving/models/small-world.js';

const DAY_MS = 86_400_000;
const START_MS = Date.UTC(2024, 0, 1);

describe('new data', () => {
  // Places of a row are days: people of three items were there on the third day.
  const set = { ...trainingSetOf([[0, 1, 2], [3], [], [4, 0, 3]], 6), userTraits: { age: ['1', '2', '3', '4'] } };

  it('are whole rows of the people who did something later, with their traits', () => {
    const fresh = peopleWithNews(set, START_MS + DAY_MS);
    expect(fresh).toMatchObject({
      userIds: ['user-0', 'user-3'],
      itemIds: set.itemIds,
      userTraits: { age: ['1', '4'] },
    });
    expect([[...fresh.rowStart], [...fresh.items]]).toEqual([
      [0, 3, 6],
      [0, 1, 2, 4, 0, 3],
    ]);
    expect(fresh.times[2]).toBe(START_MS + 2 * DAY_MS);
  });

  it('are nothing when nothing happened since', () => {
    const { items, userIds } = peopleWithNews(set, START_MS + 2 * DAY_MS);
    expect([items.length, userIds.length]).toEqual([0, 0]);
  });

  it('keep the items of the published model, behind their own', () => {
    const extended = withItemsOf(set, ['old', 'item-3', 'older']);
    expect(extended.itemIds).toEqual([...set.itemIds, 'old', 'older']);
    expect(extended.items).toBe(set.items);
  });
});
