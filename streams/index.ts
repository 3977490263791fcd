/**
 * The public surface of the stream library: `import { … } from 'freshet/streams'`.
 *
 * Everything here works without operators/ and serving/. What is not exported here may change with any release. Record
 * schemas, Avro codecs and ids are in `freshet/schemas`.
 */

// Ports
export type {
  AppendReceipt,
  AssignmentListener,
  EventLog,
  Hint,
  LogBatch,
  LogRecord,
  Membership,
  Origin,
  OutgoingRecord,
  PartitionBounds,
  ReadLimits,
  TopicSpec,
} from './log/event-log.js';
export { taskName } from './state/state-store.js';
export type {
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
} from './state/state-store.js';

// Adapters
export { MemoryLog } from './memory/memory-log.js';
export type { LogCheckpoint, MemoryLogOptions } from './memory/memory-log.js';
export { MemoryStore } from './memory/memory-store.js';
export type { MemoryStoreOptions, StoreCheckpoint } from './memory/memory-store.js';
export { LmdbLog, LmdbStore, openEmbeddedStorage } from './lmdb/index.js';
export type { EmbeddedStorage, EmbeddedStorageOptions, StorageStats, SyncPolicy } from './lmdb/index.js';

export { openRedisStorage, redisClientOptionsOf, RedisHints, redisSection, RedisStore } from './redis/index.js';
export type { RedisConfig, RedisStorage, RedisStorageOptions } from './redis/index.js';
export type { HintBus, HintListener } from './log/hint-bus.js';
export { HintRepair } from './log/hint-repair.js';
export type { HintRepairOptions, WatchedKey } from './log/hint-repair.js';

// Topology and operators
export { buildTopology, describeTopology } from './runtime/topology.js';
export type {
  AnyStage,
  FaultPolicy,
  InputCodec,
  LatePolicy,
  RecordTimes,
  RuntimeRecord,
  StageDeclaration,
  Topology,
} from './runtime/topology.js';
export { defineStage } from './stage.js';
export type { AnyOperator, Cell, Context, ExportedCell, Operator, StateCodec } from './runtime/operator.js';
export { jsonInput, jsonState } from './json-codecs.js';
export type { JsonInputOptions } from './json-codecs.js';

// Windows and joins
export { createHoppingWindows, createTumblingWindows } from './windows/fixed-windows.js';
export type { HoppingWindowOptions, TumblingWindowOptions } from './windows/fixed-windows.js';
export { createSessionWindows } from './windows/session-windows.js';
export type { SessionWindowOptions } from './windows/session-windows.js';
export { createIntervalJoin } from './windows/interval-join.js';
export type { IntervalJoinOptions, JoinOutput, JoinSide } from './windows/interval-join.js';
export type { Buffered, JoinState } from './windows/join-state.js';
export type { WindowAggregate, WindowEmission, WindowOptions, WindowOutput } from './windows/window.js';
export type { Window, WindowState } from './windows/window-state.js';

// Running
export { Task } from './runtime/task.js';
export { DEFAULT_TASK_OPTIONS } from './runtime/task-options.js';
export type { TaskEnvironment } from './runtime/task.js';
export type { TaskOptions, TaskStatistics } from './runtime/task-options.js';
export { StreamWorker } from './runtime/worker.js';
export type { WorkerOptions } from './runtime/worker.js';
export { TableFollower } from './runtime/table-follower.js';
export type { TableFollowerOptions } from './runtime/table-follower.js';
export { requireManifest } from './runtime/manifest.js';
export { TestDriver } from './testing/test-driver.js';
export type { TestDriverOptions } from './testing/test-driver.js';

// Looking at state, moving it, rebuilding it
export { StateQuery } from './queries/state-query.js';
export type { KeyState } from './queries/state-query.js';
export { digestTask } from './queries/state-digest.js';
export type { TaskDigest } from './queries/state-digest.js';
export { exportSnapshot, importSnapshot } from './queries/snapshot.js';
export { readCell, rowVersion } from './runtime/row-bytes.js';
export { requireFlipped, ShadowRebuild } from './rebuild/shadow-rebuild.js';
export type { FlipResult, RebuildOptions } from './rebuild/shadow-rebuild.js';
export type { RebuildPhase } from './rebuild/rebuild-document.js';
export type { ShadowSource } from './rebuild/shadow-stage.js';
export type { OutputListener } from './rebuild/shadow-environment.js';
export { ForwardingLog, ForwardingStore } from './forwarding.js';

// Warehouse
export { isRowRejected } from './warehouse/warehouse.js';
export type {
  BlockRange,
  BlockRow,
  BlockRows,
  InsertOutcome,
  Migration,
  QueryOptions,
  QueryParams,
  ResultRow,
  Warehouse,
  WarehouseRow,
  WarehouseValue,
} from './warehouse/warehouse.js';
export type { ColumnBlock, RowPlace } from './warehouse/column-block.js';
export { openChdbWarehouse } from './warehouse/chdb-warehouse.js';
export type { ChdbWarehouseOptions } from './warehouse/chdb-warehouse.js';
export { ClickhouseWarehouse } from './warehouse/clickhouse-warehouse.js';
export type { ClickhouseWarehouseOptions } from './warehouse/clickhouse-warehouse.js';
export { WarehouseSink } from './warehouse/sink.js';
export type { SinkOptions } from './warehouse/sink.js';
export type { SinkPlace, SinkRecord } from './warehouse/sink-source.js';

// Time, chance, words to people
export { ManualClock, SystemClock, systemClock } from './clock.js';
export type { Clock, TimerHandle } from './clock.js';
export { seededRandom, systemRandom } from './random.js';
export type { Random } from './random.js';
export { createLogger, silentLogger } from './logger.js';
export type { LogFields, Logger, LoggerOptions, LogLevel } from './logger.js';
export { createMetrics, LATENCY_MS_BUCKETS } from './metrics.js';
export type {
  Counter,
  Gauge,
  Histogram,
  HistogramOptions,
  Labels,
  Metrics,
  MetricSample,
  MetricsOptions,
} from './metrics.js';
export { defineConfig, defineSection, setting } from './config.js';
export type { ConfigDefinition, ConfigFault, ConfigOf, ConfigSource, Section, SectionValues } from './config.js';
export { EngineError, isEngineError } from '../schemas/errors.js';
export type { ErrorCode, ErrorContext } from '../schemas/errors.js';
