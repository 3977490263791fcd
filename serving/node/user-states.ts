/**
 * Reads users' materialized rows for serving: one round trip a partition, however many users are asked for.
 */
import { partitionFor } from '../../schemas/ids.js';
import { rowVersion } from '../../streams/runtime/row-bytes.js';
import type { StateStore } from '../../streams/state/state-store.js';
import type { UserReader, UserSnapshot, UserView } from './ports.js';

export interface UserStatesOptions {
  readonly store: StateStore;
  /** Name of the stage whose rows these are. */
  readonly stage: string;
  /** Of the stage's input topic: where a user's row lives. May change with a repartition. */
  readonly partitions: () => number;
  /** What a stored row says; of no row, what an unknown person looks like. */
  readonly snapshotOf: (row: Buffer | undefined, now: number, userId: string) => UserSnapshot;
  /** The id that an id became, when the row says so; its row is read instead. */
  readonly aliasOf?: (row: Buffer) => string | undefined;
}

/** Aliases followed; stage 1 cuts cycles, this cuts what a damaged state could hold. */
const ALIAS_HOPS_MAX = 4;

export class UserStates implements UserReader {
  constructor(private readonly options: UserStatesOptions) {}

  async read(userIds: readonly string[], now: number): Promise<readonly UserView[]> {
    const views: UserView[] = [];
    const rows = await this.rows(userIds);
    for (let i = 0; i < userIds.length; i++) {
      const [userId, row] = [userIds[i]!, rows[i]];
      const alias = this.aliasOf(row);
      views.push(alias === undefined ? this.view(userId, row, now) : await this.follow(alias, now));
    }
    return views;
  }

  private async follow(alias: string, now: number): Promise<UserView> {
    let owner = alias;
    let row: Buffer | undefined;
    let next: string | undefined = alias;
    for (let hops = 0; next !== undefined && hops < ALIAS_HOPS_MAX; hops++) {
      owner = next;
      [row] = await this.rows([owner]);
      next = this.aliasOf(row);
    }
    return this.view(owner, row, now);
  }

  private aliasOf(row: Buffer | undefined): string | undefined {
    return row === undefined ? undefined : this.options.aliasOf?.(row);
  }

  private view(owner: string, row: Buffer | undefined, now: number): UserView {
    const { snapshotOf, partitions } = this.options;
    return {
      snapshot: snapshotOf(row, now, owner),
      partition: partitionFor(owner, partitions()),
      offset: row === undefined ? 0 : rowVersion(row) + 1,
    };
  }

  private async rows(userIds: readonly string[]): Promise<readonly (Buffer | undefined)[]> {
    const { store, stage, partitions } = this.options;
    if (userIds.length === 1) {
      const key = userIds[0]!;
      return [await store.get({ stage, partition: partitionFor(key, partitions()) }, key)];
    }
    const byPartition = new Map<number, number[]>();
    userIds.forEach((userId, i) => {
      const partition = partitionFor(userId, partitions());
      const indexes = byPartition.get(partition);
      if (indexes === undefined) byPartition.set(partition, [i]);
      else indexes.push(i);
    });
    const rows = new Array<Buffer | undefined>(userIds.length).fill(undefined);
    await Promise.all(
      [...byPartition].map(async ([partition, indexes]) => {
        const keys = indexes.map((i) => userIds[i]!);
        const found = await store.prefetch({ stage, partition }, { keys, timersBefore: -Infinity, timersMax: 0 });
        indexes.forEach((index, i) => (rows[index] = found.rows[i]));
      }),
    );
    return rows;
  }
}
