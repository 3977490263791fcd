/**
 * Log and state of the generation in force, and going over to the next one while the process runs.
 *
 *   `log`, `store`   whichever generation it is at the time: for the edge, commands and queries
 *   `stages`         bound to one generation: for tasks and for whoever keeps offsets
 *
 * Where several processes share the engine, an append through `log` is acknowledged only when the layout, read after it, says
 * that its generation is still taken from; likewise a task is only worked on when it said so after it was acquired.
 */
import { CurrentLog, CurrentStore, OpenStore } from '../../streams/generations/current.js';
import type { Confirm } from '../../streams/generations/current.js';
import { LayoutChange } from '../../streams/generations/layout-change.js';
import { readLayout, requireOpen } from '../../streams/generations/layout.js';
import type { Layout } from '../../streams/generations/layout.js';
import { topicGenerations } from '../../streams/generations/views.js';
import type { LogAndStore, TopicGeneration } from '../../streams/generations/views.js';
import { openPhysicalStorage, viewOfGeneration } from './storage.js';
import type { PhysicalStorage, StorageOptions } from './storage.js';

/** What everything but a repartition works with. */
export interface Storage extends PhysicalStorage {
  readonly log: CurrentLog;
  readonly store: CurrentStore;
  /** All generations beside each other. */
  readonly physical: PhysicalStorage;
  /** Other processes work on the same log and state. */
  readonly isShared: boolean;
  /** By which this process goes. */
  readonly layout: Layout;
  readonly stages: LogAndStore;
  /** All that a topic has been, oldest first: for readers that may not be through with what came before a repartition. */
  topicGenerations(topic: string): readonly TopicGeneration[];
  /** The generation in force of another layout, seen as `switchTo` would see it. */
  viewOf(layout: Layout): LogAndStore;
  /** From now on `log` and `store` are those of the generation in force in this layout; its topics must be there. */
  switchTo(layout: Layout): void;
}

export async function openStorage(options: StorageOptions): Promise<Storage> {
  const physical = await openPhysicalStorage(options);
  try {
    const isShared = options.directory !== undefined && options.config.streams.storage === 'distributed';
    const layout = isShared ? await readLayout(physical) : await ownLayout(physical);
    return new CurrentStorage(physical, layout, { isShared, token: options.token });
  } catch (error) {
    await physical.close();
    throw error;
  }
}

/** Nobody else has this storage open: whoever announced something is dead. */
async function ownLayout(physical: PhysicalStorage): Promise<Layout> {
  const change = await LayoutChange.open(physical);
  await change.withdraw();
  return change.layout;
}

class CurrentStorage implements Storage {
  readonly log: CurrentLog;
  readonly store: CurrentStore;
  readonly isShared: boolean;
  readonly losesHints: boolean;
  layout: Layout;
  stages: LogAndStore;

  constructor(
    readonly physical: PhysicalStorage,
    layout: Layout,
    private readonly options: { readonly isShared: boolean; readonly token: string | undefined },
  ) {
    this.isShared = options.isShared;
    this.losesHints = physical.losesHints ?? false;
    this.layout = layout;
    this.stages = this.viewOf(layout);
    this.log = new CurrentLog(this.stages.log, this.confirmOf(layout));
    this.store = new CurrentStore(this.stages.store);
  }

  topicGenerations(topic: string): readonly TopicGeneration[] {
    return topicGenerations(this.physical.log, this.layout, topic);
  }

  viewOf(layout: Layout): LogAndStore {
    const { log, store } = viewOfGeneration(this.physical, layout);
    const { token } = this.options;
    if (!this.isShared) return { log, store };
    const confirm = async (): Promise<void> => requireOpen(await readLayout(this.physical), layout.inForce, token);
    return { log, store: new OpenStore(store, confirm) };
  }

  switchTo(layout: Layout): void {
    this.layout = layout;
    this.stages = this.viewOf(layout);
    this.log.switchTo(this.stages.log, this.confirmOf(layout));
    this.store.switchTo(this.stages.store);
  }

  flushed(): Promise<void> {
    return this.physical.flushed();
  }

  stats() {
    return this.physical.stats();
  }

  close(): Promise<void> {
    return this.physical.close();
  }

  private confirmOf({ inForce }: Layout): Confirm | undefined {
    if (!this.isShared) return undefined;
    return async () => requireOpen(await readLayout(this.physical), inForce);
  }
}
