/** What the engine asks of its log: each topic as the table of topics declares it. */
import { expect, it } from 'vitest';
import { engineTopics } from '../../operators/engine-topology.js';

it('sessions and rewards are declared exact, and nothing else is', () => {
  const exact = engineTopics('shop', 4).filter((spec) => spec.exact === true);
  expect(exact.map(({ name }) => name).sort()).toEqual(['shop.rewards', 'shop.sessions']);
});
