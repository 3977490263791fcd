/** Several sorted sequences as one: what is equal comes together, in the order of the sequences. */
export async function* groupSorted<T>(
  sequences: readonly AsyncIterable<T>[],
  compare: (left: T, right: T) => number,
): AsyncGenerator<readonly T[]> {
  const iterators = sequences.map((sequence) => sequence[Symbol.asyncIterator]());
  try {
    const heads = await Promise.all(iterators.map((iterator) => iterator.next()));
    for (;;) {
      let lowest: { readonly value: T } | undefined;
      for (const head of heads) {
        if (head.done !== true && (lowest === undefined || compare(head.value, lowest.value) < 0)) lowest = head;
      }
      if (lowest === undefined) return;
      const { value } = lowest;
      const group: T[] = [];
      for (let i = 0; i < heads.length; i++) {
        const head = heads[i]!;
        if (head.done === true || compare(head.value, value) !== 0) continue;
        group.push(head.value);
        heads[i] = await iterators[i]!.next();
      }
      yield group;
    }
  } finally {
    for (const iterator of iterators) await iterator.return?.();
  }
}
