/**
 * Writes waiting for their transaction, in the order they were asked for, taken in groups of bounded size: one
 * writer's flood must not delay everyone behind it for long.
 */

export interface PendingWrite {
  /** Roughly. */
  readonly bytes: number;
  /** Answered when durable, not when stored. */
  readonly untilDurable: boolean;
  readonly stage: () => unknown;
  readonly resolve: (value: never) => void;
  readonly reject: (error: unknown) => void;
}

const GROUP_WRITES_MAX = 1_024;
const GROUP_BYTES_MAX = 16 * 1_048_576;

export class WriteQueue {
  private writes: PendingWrite[] = [];

  get isEmpty(): boolean {
    return this.writes.length === 0;
  }

  add<T>(stage: () => T, bytes: number, untilDurable: boolean): Promise<T> {
    return new Promise<T>((resolve, reject) => this.writes.push({ bytes, untilDurable, stage, resolve, reject }));
  }

  /** The next transaction's writes; at least one when there is one. */
  takeGroup(): PendingWrite[] {
    let count = 0;
    let bytes = 0;
    while (count < this.writes.length && count < GROUP_WRITES_MAX && bytes < GROUP_BYTES_MAX) {
      bytes += this.writes[count++]!.bytes;
    }
    return this.writes.splice(0, count);
  }
}
