/**
 * How often people come back within a session: the share of times that the j-th latest distinct item was the next one.
 *
 * r_j = times it was next / (times there were that many items to come back to + PRIOR), over all places of all training
 * sessions; j = 0 is the item they are at. Sessions of shops come back a lot (a fifth of the clicks of one), readers of
 * news hardly: neighbours alone cannot tell, since a session that holds an item says little about its second visit.
 *
 * Worked example, PRIOR left out: sessions a→b→a and a→b→c. What comes next is never where they are: r_0 = 0/4. At two of
 * the four places there is an item before that, and once it is the next one: r_1 = 1/2.
 */
import type { TrainingSet } from '../training-set.js';

/** Observations of nobody coming back that little data are pulled towards. */
const PRIOR = 10;

/** @param most latest distinct items that are looked at; the length of the result */
export function repeatShares({ rowStart, items }: Pick<TrainingSet, 'rowStart' | 'items'>, most: number): Float32Array {
  const seen = new Float64Array(most).fill(PRIOR);
  const came = new Float64Array(most);
  for (let row = 0; row + 1 < rowStart.length; row++) {
    const latest: number[] = [];
    for (let p = rowStart[row]!; p < rowStart[row + 1]!; p++) {
      const item = items[p]!;
      const place = latest.indexOf(item);
      for (let j = 0; j < Math.min(most, latest.length); j++) seen[j]!++;
      if (place >= 0 && place < most) came[place]!++;
      if (place >= 0) latest.splice(place, 1);
      latest.unshift(item);
      // An item that left the list counts as new when it comes back: too long ago to be told from one.
      if (latest.length > most) latest.pop();
    }
  }
  return Float32Array.from(came, (count, j) => count / seen[j]!);
}

/** Votes [items] that sum to 1 (or are all 0) become chances: the session's own items get their shares, the rest is scaled. */
export function addRepeats(session: Int32Array, shares: Float32Array, votes: Float32Array): void {
  const latest = new Set<number>();
  for (let p = session.length - 1; p >= 0 && latest.size < shares.length; p--) latest.add(session[p]!);
  const own = [...latest];
  const back = own.reduce((sum, _, j) => sum + shares[j]!, 0);
  // Shares of different places are counted over different sessions: their sum may pass 1.
  const scale = 1 / Math.max(1, back);
  for (let item = 0; item < votes.length; item++) votes[item]! *= 1 - back * scale;
  own.forEach((item, j) => (votes[item]! += shares[j]! * scale));
}
