/**
 * A task's own bookkeeping, committed with its state: how far event time has come, whose ticks count, which outputs of
 * other tasks have been read, and how many outputs the record at the current offset has emitted already.
 *
 * It is part of the state that a replay reproduces, so it holds nothing that depends on where batches were cut.
 */
import { EngineError } from '../../schemas/errors.js';
import type { Origin } from '../log/event-log.js';
import { InheritedMarks, isAbove } from './inherited-marks.js';
import type { InheritedMark, Mark, StoredMark } from './inherited-marks.js';

/**
 * Sources whose high marks are kept. One an upstream partition and one an imported file; with more, the source that
 * has been silent longest is forgotten, and a re-send of its old outputs would no longer be recognised.
 */
const SOURCES_MAX = 1024;

/** The marks of one source. Their text is kept: a small batch moves few of the hundred that a commit writes. */
interface SourceMarks {
  readonly byOperator: Map<string, Mark>;
  text: string | undefined;
}

interface Found {
  readonly source: string;
  readonly operator: string;
  readonly marks: SourceMarks;
  readonly mark: Mark;
}

export class TaskMeta {
  /** Highest event time seen, ms since epoch. */
  streamTime = -Infinity;
  /** Owner whose ticks are accepted: the one named last in the input itself. */
  tickOwner = '';
  /** Outputs emitted so far on account of the record at the head's offset, by operator: timers fired before it. */
  emitted = new Map<string, number>();
  /** Commits made at the head's offset without its record: timers were due before it, more than one batch takes. */
  cuts = 0;
  private marks = new Map<string, SourceMarks>();
  private inherited: InheritedMarks | undefined;
  /** The mark found last: outputs come in runs of one source and operator. */
  private latest: Found | undefined;

  /** Whether an output was seen before; changes nothing. `key`: of the record that carries it. */
  hasSeen(origin: Origin, key: string): boolean {
    if (this.inherited?.hasSeen(origin, key) === true) return true;
    const mark = this.marks.get(origin.source)?.byOperator.get(origin.operator);
    return mark !== undefined && !isAbove(origin, mark);
  }

  /** Whether an output was not seen before; remembers it. Outputs of one (source, operator) arrive in order or again. */
  admit(origin: Origin, key: string): boolean {
    if (this.inherited?.hasSeen(origin, key) === true) return false;
    const { marks, mark } = this.markOf(origin);
    if (!isAbove(origin, mark)) return false;
    mark.offset = origin.offset;
    mark.index = origin.index;
    marks.text = undefined;
    return true;
  }

  private markOf({ source, operator }: Origin): Found {
    const { latest } = this;
    if (latest !== undefined && latest.source === source && latest.operator === operator) return latest;
    let marks = this.marks.get(source);
    if (marks === undefined) {
      marks = { byOperator: new Map(), text: undefined };
      this.marks.set(source, marks);
      if (this.marks.size > SOURCES_MAX) this.marks.delete(this.marks.keys().next().value!);
    }
    let mark = marks.byOperator.get(operator);
    if (mark === undefined) {
      mark = { offset: -1, index: -1 };
      marks.byOperator.set(operator, mark);
    }
    return (this.latest = { source, operator, marks, mark });
  }

  encode(): Buffer {
    const marks: string[] = [];
    for (const [source, own] of this.marks) marks.push((own.text ??= textOf(source, own)));
    const { streamTime, tickOwner, emitted, cuts } = this;
    const rest = {
      format: 1,
      streamTime: streamTime === -Infinity ? null : streamTime,
      tickOwner,
      emitted: [...emitted],
      ...(cuts > 0 && { cuts }),
    };
    const inherited = this.inherited === undefined ? '' : `,"inherited":${this.inherited.text}`;
    return Buffer.from(`${JSON.stringify(rest).slice(0, -1)},"marks":[${marks.join()}]${inherited}}`);
  }

  /**
   * What a task begins with whose keys come from these tasks of the generation before. Event time is the highest of theirs,
   * since it never moves back. Of what they have read, all is kept but outputs of tasks of that generation, whose sources
   * begin with `ended`: nothing of those can come any more.
   */
  static inherit(
    sources: readonly { readonly meta: TaskMeta; readonly partition: number }[],
    { partitions, ended }: { readonly partitions: number; readonly ended: string },
  ): TaskMeta {
    const inheriting = new TaskMeta();
    const kept: InheritedMark[] = [];
    for (const { meta, partition } of sources) {
      inheriting.streamTime = Math.max(inheriting.streamTime, meta.streamTime);
      kept.push(...(meta.inherited?.list() ?? []));
      for (const [source, { byOperator }] of meta.marks) {
        if (source.startsWith(ended)) continue;
        for (const [operator, mark] of byOperator) kept.push({ source, operator, partitions, partition, ...mark });
      }
    }
    if (kept.length > 0) inheriting.inherited = new InheritedMarks(kept);
    return inheriting;
  }

  static decode(bytes: Uint8Array): TaskMeta {
    const meta = new TaskMeta();
    if (bytes.length === 0) return meta;
    try {
      const stored = JSON.parse(Buffer.from(bytes).toString('utf8')) as StoredMeta;
      meta.streamTime = stored.streamTime ?? -Infinity;
      meta.tickOwner = stored.tickOwner;
      meta.emitted = new Map(stored.emitted);
      meta.cuts = stored.cuts ?? 0;
      for (const [source, operators] of stored.marks) {
        const byOperator = new Map(operators.map(([operator, offset, index]) => [operator, { offset, index }]));
        meta.marks.set(source, { byOperator, text: undefined });
      }
      if (stored.inherited !== undefined) meta.inherited = InheritedMarks.decode(stored.inherited);
      return meta;
    } catch (cause) {
      throw new EngineError('STATE_CORRUPT', 'The bookkeeping of a task cannot be read.', { cause });
    }
  }
}

function textOf(source: string, { byOperator }: SourceMarks): string {
  return JSON.stringify([source, [...byOperator].map(([operator, { offset, index }]) => [operator, offset, index])]);
}

interface StoredMeta {
  streamTime: number | null;
  tickOwner: string;
  emitted: [string, number][];
  cuts?: number;
  marks: [string, [string, number, number][]][];
  /** Absent where partitions never changed. */
  inherited?: StoredMark[];
}
