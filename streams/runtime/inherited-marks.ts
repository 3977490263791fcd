/**
 * Which outputs of others were read before the partitions changed.
 *
 * Whoever appends again what an import cut off had appended meets tasks whose partitions are cut elsewhere. Each of the old
 * partitions had come a different way, so their marks cannot be made one without forgetting or doubling: they are kept as
 * they were, and asked by the partition that the record's key had then.
 *
 * Invariant: nothing here changes by processing; a repartition makes it, commits carry it along.
 */
import { partitionFor } from '../../schemas/ids.js';
import type { Origin } from '../log/event-log.js';

/** Highest output seen of one operator: everything up to it was. */
export interface Mark {
  offset: number;
  index: number;
}

export function isAbove(origin: Readonly<Mark>, mark: Readonly<Mark>): boolean {
  return origin.offset > mark.offset || (origin.offset === mark.offset && origin.index > mark.index);
}

/** What one partition among so many had seen of a source. */
export interface InheritedMark {
  readonly source: string;
  readonly operator: string;
  /** Partitions there were. */
  readonly partitions: number;
  readonly partition: number;
  readonly offset: number;
  readonly index: number;
}

/** As stored: source, operator, partitions, partition, offset, index. */
export type StoredMark = readonly [string, string, number, number, number, number];

/** By partition. */
type Layer = Map<number, Mark>;

export class InheritedMarks {
  /** By source and operator, then by the number of partitions. */
  private readonly layers = new Map<string, Map<number, Layer>>();
  /** Written with every commit, and never changed. */
  readonly text: string;

  /** Marks of one partition that come by several ways are the same, or the higher one is right. */
  constructor(marks: readonly InheritedMark[]) {
    for (const { source, operator, partitions, partition, offset, index } of marks) {
      const byCount = getOr(this.layers, idOf(source, operator), () => new Map<number, Layer>());
      const layer = getOr(byCount, partitions, () => new Map<number, Mark>());
      const known = layer.get(partition);
      if (known === undefined || isAbove({ offset, index }, known)) layer.set(partition, { offset, index });
    }
    this.text = JSON.stringify(this.list().map(storedOf));
  }

  hasSeen(origin: Origin, key: string): boolean {
    const byCount = this.layers.get(idOf(origin.source, origin.operator));
    if (byCount === undefined) return false;
    for (const [partitions, layer] of byCount) {
      const mark = layer.get(partitionFor(key, partitions));
      if (mark !== undefined && !isAbove(origin, mark)) return true;
    }
    return false;
  }

  list(): readonly InheritedMark[] {
    const marks: InheritedMark[] = [];
    for (const [id, byCount] of this.layers) {
      const [source, operator] = id.split('\n') as [string, string];
      for (const [partitions, layer] of byCount) {
        for (const [partition, mark] of layer) marks.push({ source, operator, partitions, partition, ...mark });
      }
    }
    return marks;
  }

  static decode(stored: readonly StoredMark[]): InheritedMarks {
    return new InheritedMarks(
      stored.map(([source, operator, partitions, partition, offset, index]) => {
        return { source, operator, partitions, partition, offset, index };
      }),
    );
  }
}

function storedOf({ source, operator, partitions, partition, offset, index }: InheritedMark): StoredMark {
  return [source, operator, partitions, partition, offset, index];
}

/** Neither has line breaks: names of operators are kebab, sources are made of ids and names. */
function idOf(source: string, operator: string): string {
  return `${source}\n${operator}`;
}

function getOr<K, V>(map: Map<K, V>, key: K, create: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = create()));
  return value;
}
