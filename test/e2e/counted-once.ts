import { expect } from 'vitest';
import { countBy } from './data-sets.js';
import { inspect, interactionsOf } from './inspect.js';

/** Every acknowledged event in the state of its person, and in one of that person's sessions, once. */
export async function requireCountedOnce(data: string, expected: ReadonlyMap<string, number>): Promise<void> {
  await inspect(data, async (inspection) => {
    expect(countBy(await inspection.users(), ({ key }) => key, interactionsOf)).toEqual(expected);
    const sessions = [...(await inspection.sessions()).values()];
    const byUser = countBy(
      sessions,
      ({ userId }) => userId,
      ({ interactions }) => interactions,
    );
    expect(byUser).toEqual(expected);
  });
}
