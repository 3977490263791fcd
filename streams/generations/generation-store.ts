/**
 * The state as one generation sees it: its own tasks and documents under logical names, those of others not there.
 *
 * Where outputs are appended by the store itself they get the physical names of their topics here; in an outbox they keep
 * the logical ones, since whoever sends them does so through the generation's log.
 */
import { PackedRecords } from '../log/packed-records.js';
import { ForwardingStore } from '../forwarding.js';
import { MANIFEST_DOCUMENT } from '../runtime/manifest.js';
import type {
  Commit,
  CommitOutcome,
  OutboxEntry,
  OutputBatch,
  Prefetched,
  PrefetchRequest,
  ScanRange,
  StateStore,
  TaskContent,
  TaskHead,
  TaskId,
  TimerEntry,
} from '../state/state-store.js';
import type { GenerationLog } from './generation-log.js';
import { parseStage, physicalName } from './layout.js';

const REBUILD_DOCUMENTS = 'rebuild/';

export class GenerationStore extends ForwardingStore {
  /** `documents`: those of the engine that belong to one generation, beside the manifest and those of rebuilds. */
  constructor(
    target: StateStore,
    private readonly log: GenerationLog,
    private readonly number: number,
    private readonly documents: readonly string[],
  ) {
    super(target);
  }

  private physical({ stage, partition }: TaskId): TaskId {
    return { stage: physicalName(stage, this.number), partition };
  }

  private document(name: string): string {
    const isOwn = name === MANIFEST_DOCUMENT || name.startsWith(REBUILD_DOCUMENTS) || this.documents.includes(name);
    return isOwn ? physicalName(name, this.number) : name;
  }

  override acquire(task: TaskId, owner: string): Promise<TaskHead> {
    return this.target.acquire(this.physical(task), owner);
  }

  override head(task: TaskId): Promise<TaskHead | undefined> {
    return this.target.head(this.physical(task));
  }

  override prefetch(task: TaskId, request: PrefetchRequest): Promise<Prefetched> {
    return this.target.prefetch(this.physical(task), request);
  }

  override commit(task: TaskId, commit: Commit): Promise<CommitOutcome> {
    const outputs = this.delivery === 'atomic' ? commit.outputs.map((batch) => this.placed(batch)) : commit.outputs;
    return this.target.commit(this.physical(task), { ...commit, outputs });
  }

  private placed(batch: OutputBatch): OutputBatch {
    const topic = this.log.physical(batch.topic);
    if (topic === batch.topic) return batch;
    return batch instanceof PackedRecords ? batch.renamed(topic) : { topic, records: batch.records };
  }

  override outbox(task: TaskId): Promise<readonly OutboxEntry[]> {
    return this.target.outbox(this.physical(task));
  }

  override trimOutbox(task: TaskId, owner: string, commitId: string): Promise<void> {
    return this.target.trimOutbox(this.physical(task), owner, commitId);
  }

  override get(task: TaskId, key: string): Promise<Buffer | undefined> {
    return this.target.get(this.physical(task), key);
  }

  override scan(task: TaskId, range?: ScanRange): AsyncIterable<readonly [key: string, value: Buffer]> {
    return this.target.scan(this.physical(task), range);
  }

  override scanTimers(task: TaskId): AsyncIterable<TimerEntry> {
    return this.target.scanTimers(this.physical(task));
  }

  override async tasks(): Promise<readonly TaskId[]> {
    return (await this.target.tasks()).flatMap(({ stage: physical, partition }) => {
      const { stage, generation } = parseStage(physical);
      return generation === this.number ? [{ stage, partition }] : [];
    });
  }

  override readDocument(name: string): Promise<string | undefined> {
    return this.target.readDocument(this.document(name));
  }

  override writeDocument(name: string, text: string): Promise<void> {
    return this.target.writeDocument(this.document(name), text);
  }

  override replaceDocument(name: string, expected: string | undefined, text: string): Promise<boolean> {
    return super.replaceDocument(this.document(name), expected, text);
  }

  override restore(task: TaskId, content: TaskContent): Promise<void> {
    return this.target.restore(this.physical(task), content);
  }

  override drop(task: TaskId): Promise<void> {
    return this.target.drop(this.physical(task));
  }
}
