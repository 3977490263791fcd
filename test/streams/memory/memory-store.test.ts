import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../streams/clock.js';
import { compareKeys } from '../../../streams/memory/key-order.js';
import { MemoryLog } from '../../../streams/memory/memory-log.js';
import { MemoryStore } from '../../../streams/memory/memory-store.js';
import { commit, describeStore } from '../state/state-conformance.js';

describeStore('memory (outbox)', () => {
  const store = new MemoryStore({ delivery: 'outbox' });
  return Promise.resolve({ store, close: () => store.close() });
});

describeStore('memory (atomic)', () => {
  const log = new MemoryLog({ clock: new ManualClock() });
  const store = new MemoryStore({ delivery: 'atomic', log });
  return Promise.resolve({ store, log, close: () => store.close() });
});

describe('a memory store', () => {
  const task = { stage: 's', partition: 0 };

  it('goes back to a checkpoint, several times, and remembers later ones', () => {
    const store = new MemoryStore({ delivery: 'outbox' });
    store.acquireNow(task, 'A');
    store.commitNow(task, commit('A', '', 'c1', { puts: { n: '1' } }));
    const first = store.checkpoint();
    store.commitNow(task, commit('A', 'c1', 'c2', { puts: { n: '2' }, outputs: ['o'] }));
    const second = store.checkpoint();
    store.commitNow(task, commit('A', 'c2', 'c3', { deletes: ['n'] }));
    for (const [checkpoint, value] of [
      [first, '1'],
      [second, '2'],
      [first, '1'],
    ] as const) {
      store.rollback(checkpoint);
      expect(store.rowsNow(task).map(([, row]) => row.toString())).toEqual([value]);
      const { commitId } = store.headNow(task)!;
      store.commitNow(task, commit('A', commitId, `${commitId}+`, { puts: { n: 'later' } }));
    }
  });

  it('compares keys as their UTF-8 bytes do', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 6 });
    fc.assert(
      fc.property(text, text, (left, right) => {
        expect(Math.sign(compareKeys(left, right))).toBe(Buffer.compare(Buffer.from(left), Buffer.from(right)));
      }),
    );
  });
});
