/**
 * One serving node: the edge put together from what it is handed, started and stopped in order.
 *
 *   new ──start──▶ following tables ──▶ feeds and hints ──▶ listening ──stop──▶ draining ──▶ stopped
 *
 * It loads the item tables before it listens, so that its first answer is as good as any. Stopping refuses new work,
 * tells feeds to reconnect, finishes requests, and makes what was taken durable; log and store stay with their owner.
 */
import { TOPICS, topicName } from '../../schemas/topics.js';
import type { Clock } from '../../streams/clock.js';
import type { EventLog } from '../../streams/log/event-log.js';
import { HintRepair } from '../../streams/log/hint-repair.js';
import type { Logger } from '../../streams/logger.js';
import type { Metrics } from '../../streams/metrics.js';
import type { Random } from '../../streams/random.js';
import type { StateStore } from '../../streams/state/state-store.js';
import type { ServingConfig } from '../config.js';
import { EventArrivals } from '../feed/event-arrivals.js';
import { FeedHub } from '../feed/feed-hub.js';
import { FeedServer } from '../feed/feed-server.js';
import { buildAsyncApi } from '../feed/asyncapi.js';
import { FEED_PATH } from '../feed/protocol.js';
import { Access } from '../http/access.js';
import { Admission } from '../http/admission.js';
import { createDocsRoutes } from '../http/docs-routes.js';
import { encodeEvent, type EdgeStamp, type EncodedEvent } from '../http/event-json.js';
import { createEventRoutes } from '../http/event-routes.js';
import { Ingest, type EncodeBody } from '../http/ingest.js';
import { encodeListedItem } from '../http/item-json.js';
import { createItemRoutes } from '../http/item-routes.js';
import { LogWriter } from '../http/log-writer.js';
import { buildOpenApi } from '../http/openapi.js';
import { createOperationRoutes, type Readiness } from '../http/operation-routes.js';
import { Recommendations } from '../http/recommendations.js';
import type { Route } from '../http/route.js';
import { HttpServer } from '../http/server.js';
import { SlateCache } from '../http/slates.js';
import { createUserRoutes } from '../http/user-routes.js';
import type { Catalogue, NodeGauges, Recommender, StateInspector, UserReader } from './ports.js';
import { NodeStatus } from './status.js';

/** Keeps up with a table topic; `TableFollower` fits. */
export interface Follower {
  open(): Promise<void>;
  lag(): Promise<number>;
  close(): Promise<void>;
}

export interface LossyHints {
  /** Holds the rows of users. */
  readonly store: StateStore;
  readonly intervalMs: number;
}

export interface ServingNodeParts {
  readonly config: ServingConfig;
  readonly namespace: string;
  /** Grows when the log is made anew or repartitioned; part of feed versions. */
  readonly generation: () => number;
  readonly log: EventLog;
  readonly recommender: Recommender;
  readonly users: UserReader;
  readonly states: StateInspector;
  /** Name of the stage that keeps users. */
  readonly userStage: string;
  readonly catalogue: Catalogue;
  /** Published models in use, as told at `GET /v1/models`. */
  readonly models?: (() => readonly unknown[]) | undefined;
  readonly followers: readonly Follower[];
  /** Where hints pass between processes and may be lost: how users that moved are found without one. */
  readonly lossyHints?: LossyHints | undefined;
  readonly gauges: NodeGauges;
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Shown in the API's document. */
  readonly version: string;
}

/** 96 bits: unique for as long as anybody looks. */
const ID_BYTES = 12;

export class ServingNode {
  readonly hub: FeedHub;
  readonly http: HttpServer;
  private readonly feeds: FeedServer;
  private readonly admission: Admission;
  private readonly access: Access;
  private readonly eventWriter: LogWriter;
  private readonly itemWriter: LogWriter;
  private readonly arrivals = new EventArrivals();
  private readonly status: NodeStatus;
  private state: 'new' | 'starting' | 'serving' | 'stopping' | 'stopped' = 'new';
  private unsubscribe: (() => void) | undefined;
  private repair: HintRepair | undefined;
  private stopped: Promise<void> | undefined;

  constructor(private readonly parts: ServingNodeParts) {
    const { config, clock, log, metrics, namespace, logger, random } = parts;
    const pendingBytesMax = config.unsyncedBytesMax;
    const ids = random.stream('serving-ids');
    const newId = (): string => ids.hex(ID_BYTES);
    this.access = new Access(config);
    this.eventWriter = new LogWriter({ log, clock, topic: topicName(namespace, TOPICS.userEvents), pendingBytesMax });
    this.itemWriter = new LogWriter({ log, clock, topic: topicName(namespace, TOPICS.itemEvents), pendingBytesMax });
    this.admission = new Admission({ clock, logger, limits: config, gauges: this.gauges() });
    this.hub = new FeedHub({ ...parts, arrivals: this.arrivals, newId, resumableMax: config.feedResumableMax });
    const recommendations = new Recommendations({
      ...parts,
      newId,
      writer: this.eventWriter,
      slates: new SlateCache({ slatesMax: config.slatesMax, ttlMs: config.slateTtlMs }, clock),
      droppedTotal: metrics.counter(
        'served_impressions_dropped_total',
        'Served records given up because the writer was full.',
      ),
    });
    this.feeds = new FeedServer({
      ...parts,
      hub: this.hub,
      access: this.access,
      limits: feedLimits(config),
      heartbeatMs: config.feedHeartbeatMs,
      random: random.stream('feed-drain'),
      viewed: (report) => recommendations.viewed(report),
    });
    this.status = new NodeStatus({ clock, metrics, hub: this.hub, feeds: this.feeds, admission: this.admission });
    this.http = this.createHttp(newId, recommendations);
  }

  /** Loads the tables, then listens. Resolves with the port. */
  async start(): Promise<number> {
    const { config, log, namespace, followers, logger } = this.parts;
    this.state = 'starting';
    for (const follower of followers) await follower.open();
    await this.admission.open();
    this.repair = this.createHintRepair();
    this.unsubscribe = log.onHints(
      topicName(namespace, TOPICS.feedHints),
      (hints) => this.hub.onHints(hints),
      (partition) => void this.repair?.repair(partition),
    );
    this.feeds.open();
    const port = await this.http.listen(config.host, config.port);
    this.state = 'serving';
    const mode = this.access.isOpen ? 'open: no API keys, this machine only' : `${config.apiKeys.length} API keys`;
    logger.info('serving', { address: `http://${config.host}:${port}`, access: mode });
    return port;
  }

  /** Drains. Idempotent; safe at any time. */
  stop(): Promise<void> {
    this.stopped ??= this.drain();
    return this.stopped;
  }

  async readiness(): Promise<Readiness> {
    const reasons: string[] = [];
    if (this.state !== 'serving') reasons.push(`the node is ${this.state}`);
    const tableLag = await this.tableLag();
    const { readyLagMax } = this.parts.config;
    if (tableLag > readyLagMax) reasons.push(`tables are ${tableLag} records behind, more than ${readyLagMax}`);
    return { reasons, tableLag, streamLag: this.admission.streamLag };
  }

  /** To be told by the catalogue's table: these items must leave open feeds. */
  onWithdrawn(itemIds: Iterable<string>): void {
    this.hub.onWithdrawn(itemIds);
  }

  private async drain(): Promise<void> {
    this.state = 'stopping';
    this.unsubscribe?.();
    await this.repair?.close();
    await this.feeds.drain();
    await this.hub.close();
    await this.http.close();
    await this.eventWriter.drain();
    await this.itemWriter.drain();
    for (const follower of this.parts.followers) await follower.close();
    this.state = 'stopped';
  }

  private createHintRepair(): HintRepair | undefined {
    const { lossyHints, log, namespace, userStage: stage, clock, logger } = this.parts;
    if (lossyHints === undefined) return undefined;
    const { store, intervalMs } = lossyHints;
    const partitions = (): number => log.topic(topicName(namespace, TOPICS.userEvents)).partitions;
    return new HintRepair({
      ...{ store, stage, partitions, clock, intervalMs },
      watched: (partition) => this.hub.watched(partition, partitions()),
      onHints: (hints) => this.hub.onHints(hints),
      onFault: (error) => logger.warn('feeds could not be compared with the state of their users', { error }),
    });
  }

  private async tableLag(): Promise<number> {
    const lags = await Promise.all(this.parts.followers.map((follower) => follower.lag()));
    return lags.reduce((sum, lag) => sum + lag, 0);
  }

  private gauges() {
    const { gauges } = this.parts;
    return {
      streamLag: () => gauges.streamLag(),
      freeDiskBytes: () => gauges.freeDiskBytes(),
      refusal: () => gauges.refusal?.(),
      unsyncedBytes: () => this.eventWriter.pendingBytes + this.itemWriter.pendingBytes,
    };
  }

  private createHttp(newId: () => string, recommendations: Recommendations): HttpServer {
    const { config, version, clock, logger, metrics } = this.parts;
    const events = this.createIngest('events', encodeEvent, this.eventWriter, newId);
    const items = this.createIngest('items', encodeListedItem, this.itemWriter, newId);
    const routes: Route[] = [
      ...createEventRoutes(events),
      ...createItemRoutes({ ...this.parts, ingest: items }),
      ...createUserRoutes({ ...this.parts, ingest: events, recommendations }),
      ...createOperationRoutes({
        metrics,
        readiness: () => this.readiness(),
        status: () => Promise.resolve(this.status.snapshot()),
        models: this.parts.models ?? (() => []),
      }),
    ];
    const documents = createDocsRoutes({ openApi: () => buildOpenApi(routes, version), asyncApi: buildAsyncApi });
    return new HttpServer({
      routes: [...routes, ...documents],
      access: this.access,
      admission: this.admission,
      clock,
      logger,
      metrics,
      bodyBytesMax: config.bodyBytesMax,
      requestTimeoutMs: config.requestTimeoutMs,
      upgrade: { path: FEED_PATH, accept: (request, socket, head) => this.feeds.accept(request, socket, head) },
    });
  }

  private createIngest(noun: 'events' | 'items', encode: EncodeBody, writer: LogWriter, newId: () => string): Ingest {
    const { config, clock, metrics } = this.parts;
    const stampOf = (producerId: string): EdgeStamp => ({
      receivedAt: clock.now(),
      producerId,
      futureToleranceMs: config.futureToleranceMs,
      newEventId: newId,
    });
    const arrived = (event: EncodedEvent, takenAt: number): void => this.arrivals.add(event.eventId, takenAt);
    return new Ingest({
      writer,
      clock,
      encode,
      noun,
      listMax: config.listEventsMax,
      lineBytesMax: config.bodyBytesMax,
      stampOf,
      onTaken: noun === 'events' ? arrived : () => undefined,
      acceptedTotal: metrics.counter(`${noun}_accepted_total`, `Durable ${noun}.`),
      rejectedTotal: metrics.counter(`${noun}_rejected_total`, `Refused ${noun}.`),
    });
  }
}

function feedLimits(config: ServingConfig) {
  return {
    connectionsMax: config.feedConnectionsMax,
    subscriptionsPerConnectionMax: config.feedSubscriptionsPerConnectionMax,
    subscriptionsPerUserMax: config.feedSubscriptionsPerUserMax,
    messageBytesMax: config.feedMessageBytesMax,
    messagesPerSecondMax: config.feedMessagesPerSecondMax,
  };
}
