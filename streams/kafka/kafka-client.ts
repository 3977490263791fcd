/**
 * Connections to a Kafka cluster. This file alone imports kafkajs.
 *
 * kafkajs brings connections with TLS and SASL, metadata, topic administration, and the requests of groups and
 * transactions. Its consumer and producer are not used: the consumer may fetch from Kafka's committed offset before a
 * seek applies and jumps silently when an offset is out of range, the producer may reuse a sequence after a failure.
 * Fetching and producing are requests of our own (fetch-request.ts, produce-request.ts) over its connections.
 *
 * Kafka answers the requests of a connection one after another, so a request that waits on purpose (a long poll, joining a
 * group) holds up those behind it: each kind of waiting gets a channel, connections of its own.
 */
import { type Admin, type Broker, type Cluster, Kafka, logLevel, type SASLOptions } from 'kafkajs';
import { EngineError } from '../../schemas/errors.js';
import type { Logger } from '../logger.js';
import { errorType, kafkaFault } from './kafka-error.js';

export type KafkaSasl = {
  readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512';
  readonly username: string;
  readonly password: string;
};

export interface KafkaTls {
  /** PEM of the authorities to trust; the system's when undefined. */
  readonly ca?: string | undefined;
  /** PEM of the client's own certificate and key. */
  readonly certificate?: string | undefined;
  readonly key?: string | undefined;
}

export interface KafkaAddress {
  /** `host:port`, any of the cluster. */
  readonly brokers: readonly string[];
  readonly clientId: string;
  readonly sasl?: KafkaSasl | undefined;
  /** Undefined: plain text. */
  readonly tls?: KafkaTls | undefined;
  readonly connectTimeoutMs: number;
  readonly requestTimeoutMs: number;
}

/** A request in the form of the protocol: https://kafka.apache.org/protocol. */
export interface WireRequest<T> {
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly name: string;
  readonly body: Buffer;
  readonly decode: (answer: Buffer) => T;
  /** Time the broker may take beyond the usual, ms. */
  readonly waitMs?: number;
}

interface GroupPlace {
  readonly groupId: string;
  readonly memberId: string;
}

/** What kafkajs's brokers can do beyond its public types. */
export interface GroupBroker extends Broker {
  joinGroup(request: {
    groupId: string;
    sessionTimeout: number;
    rebalanceTimeout: number;
    memberId: string;
    protocolType: 'consumer';
    groupProtocols: readonly { name: string; metadata: Buffer }[];
  }): Promise<{
    generationId: number;
    leaderId: string;
    memberId: string;
    members: readonly { memberId: string; memberMetadata: Buffer }[];
  }>;
  syncGroup(
    request: GroupPlace & {
      generationId: number;
      groupAssignment: readonly { memberId: string; memberAssignment: Buffer }[];
    },
  ): Promise<{ memberAssignment: Buffer }>;
  heartbeat(request: GroupPlace & { groupGenerationId: number }): Promise<unknown>;
  leaveGroup(request: GroupPlace): Promise<unknown>;
}

interface TransactionPlace {
  readonly transactionalId: string;
  readonly producerId: number;
  readonly producerEpoch: number;
}

export interface TransactionBroker extends Broker {
  initProducerId(request: { transactionalId?: string; transactionTimeout: number }): Promise<{
    producerId: string;
    producerEpoch: number;
  }>;
  addPartitionsToTxn(
    request: TransactionPlace & { topics: readonly { topic: string; partitions: readonly number[] }[] },
  ): Promise<unknown>;
  addOffsetsToTxn(request: TransactionPlace & { groupId: string }): Promise<unknown>;
  txnOffsetCommit(
    request: TransactionPlace & {
      groupId: string;
      topics: readonly {
        topic: string;
        partitions: readonly { partition: number; offset: number; metadata: string }[];
      }[];
    },
  ): Promise<unknown>;
  endTxn(request: TransactionPlace & { transactionResult: boolean }): Promise<unknown>;
}

export interface OffsetBroker extends Broker {
  listOffsets(request: {
    replicaId: number;
    isolationLevel: number;
    topics: readonly { topic: string; partitions: readonly { partition: number; timestamp: number }[] }[];
  }): Promise<{
    responses: readonly {
      topic: string;
      partitions: readonly { partition: number; offset: string }[];
    }[];
  }>;
}

const COORDINATOR_GROUP = 0;
const COORDINATOR_TRANSACTION = 1;
/** The adapter's own loops retry, with a Clock; kafkajs only bridges a lost connection. */
const RETRY = { retries: 3, initialRetryTime: 50, maxRetryTime: 1_000 };
const METADATA_MS_MAX = 60_000;

export class KafkaClient {
  private readonly kafka: Kafka;
  private readonly requestTimeoutMs: number;

  constructor(address: KafkaAddress, logger: Logger) {
    const { brokers, clientId, sasl, tls, connectTimeoutMs, requestTimeoutMs } = address;
    this.requestTimeoutMs = requestTimeoutMs;
    this.kafka = new Kafka({
      brokers: [...brokers],
      clientId,
      connectionTimeout: connectTimeoutMs,
      requestTimeout: requestTimeoutMs,
      retry: RETRY,
      logLevel: logLevel.ERROR,
      // Every error is also thrown at whoever asked, and told there; what is left is for debugging.
      logCreator: () => (entry) => logger.debug('kafkajs', { namespace: entry.namespace, text: entry.log.message }),
      ...(sasl === undefined ? {} : { sasl: sasl as SASLOptions }),
      ...(tls === undefined ? {} : { ssl: { ca: tls.ca, cert: tls.certificate, key: tls.key } }),
    });
  }

  async openAdministration(): Promise<TopicAdministration> {
    const admin = this.kafka.admin({ retry: RETRY });
    try {
      await admin.connect();
    } catch (error) {
      await admin.disconnect();
      throw kafkaFault(error, 'be reached');
    }
    return new TopicAdministration(admin);
  }

  /** Connections of their own. Resolves when the cluster answered. */
  async openChannel(topics: readonly string[] = []): Promise<Channel> {
    const channel = new Channel(this.createCluster(), this.requestTimeoutMs);
    try {
      await channel.connect(topics);
      return channel;
    } catch (error) {
      await channel.close();
      throw kafkaFault(error, 'be reached');
    }
  }

  /** kafkajs hands its cluster to partition assigners, and asks for those when a consumer is made. */
  private createCluster(): Cluster {
    let cluster: Cluster | undefined;
    this.kafka.consumer({
      groupId: 'freshet',
      allowAutoTopicCreation: false,
      metadataMaxAge: METADATA_MS_MAX,
      partitionAssigners: [
        (context) => {
          cluster = context.cluster;
          return { name: 'none', version: 0, assign: () => Promise.resolve([]), protocol: () => NO_PROTOCOL };
        },
      ],
    });
    return cluster!;
  }
}

const NO_PROTOCOL = { name: 'none', metadata: Buffer.alloc(0) };

export interface NewTopic {
  readonly topic: string;
  readonly numPartitions: number;
  readonly replicationFactor: number;
  readonly configEntries: { name: string; value: string }[];
}

export interface GroupMemberDescription {
  readonly memberId: string;
  readonly clientId: string;
  readonly clientHost: string;
}

/** Number of topics among Kafka's kinds of resources. */
const TOPIC_RESOURCE = 2;

/** Topics: which there are, and their settings. */
export class TopicAdministration {
  constructor(private readonly admin: Admin) {}

  names(): Promise<readonly string[]> {
    return this.admin.listTopics();
  }

  /** Those that exist already are left as they are. Resolves when all have leaders. */
  async create(topics: readonly NewTopic[], timeoutMs: number): Promise<void> {
    await this.admin.createTopics({ topics: [...topics], timeout: timeoutMs, waitForLeaders: true });
  }

  async partitions(topic: string): Promise<number | undefined> {
    if (!(await this.admin.listTopics()).includes(topic)) return undefined;
    const { topics } = await this.admin.fetchTopicMetadata({ topics: [topic] });
    return topics[0]?.partitions.length;
  }

  async configuration(topic: string, configNames: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const resource = { type: TOPIC_RESOURCE, name: topic, configNames: [...configNames] };
    const { resources } = await this.admin.describeConfigs({ resources: [resource], includeSynonyms: false });
    return new Map(resources[0]?.configEntries.map(({ configName, configValue }) => [configName, configValue]));
  }

  /** Records below the offset are given up. */
  async deleteBefore(topic: string, partition: number, offset: number): Promise<void> {
    // kafkajs looks for the leader before it has asked for any: this makes it ask.
    await this.admin.fetchTopicOffsets(topic);
    await this.admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(offset) }] });
  }

  async members(group: string): Promise<readonly GroupMemberDescription[]> {
    const { groups } = await this.admin.describeGroups([group]);
    return groups[0]?.members ?? [];
  }

  async close(): Promise<void> {
    await this.admin.disconnect();
  }
}

/** One connection to each broker, made when needed. */
export class Channel {
  private closed = false;
  private refreshing: Promise<void> | undefined;
  private readonly leaders = new Map<string, readonly number[]>();

  constructor(
    private readonly cluster: Cluster,
    private readonly requestTimeoutMs: number,
  ) {}

  async connect(topics: readonly string[]): Promise<void> {
    await this.cluster.connect();
    if (topics.length > 0) await this.cluster.addMultipleTargetTopics([...topics]);
    else await this.cluster.refreshMetadata();
  }

  /** Also keeps metadata of these topics. */
  async follow(topics: readonly string[]): Promise<void> {
    if (topics.length > 0) await this.cluster.addMultipleTargetTopics([...topics]);
    this.leaders.clear();
  }

  partitions(topic: string): number {
    return this.cluster.findTopicPartitionMetadata(topic).length;
  }

  /** Node that leads a partition. Throws a passing error while there is none. */
  leader(topic: string, partition: number): number {
    let leaders = this.leaders.get(topic);
    if (leaders === undefined) {
      const list: number[] = [];
      for (const { partitionId, leader } of this.cluster.findTopicPartitionMetadata(topic)) list[partitionId] = leader;
      this.leaders.set(topic, (leaders = list));
    }
    const leader = leaders[partition];
    if (leader !== undefined && leader >= 0) return leader;
    throw new EngineError('LOG_UNAVAILABLE', `${topic}/${partition} has no leader at present.`);
  }

  /** Asks who leads what. Concurrent calls share one question. */
  refresh(): Promise<void> {
    this.refreshing ??= this.cluster.refreshMetadata().finally(() => {
      this.leaders.clear();
      this.refreshing = undefined;
    });
    return this.refreshing;
  }

  async send<T>(node: number, request: WireRequest<T>): Promise<T> {
    if (this.closed) throw new EngineError('LOG_UNAVAILABLE', 'The log is closed.');
    const broker = (await this.cluster.findBroker({ nodeId: String(node) })) as Broker & { connectionPool: Pool };
    const { body, decode, waitMs = 0 } = request;
    try {
      return (await broker.connectionPool.send({
        request: {
          apiKey: request.apiKey,
          apiVersion: request.apiVersion,
          apiName: request.name,
          encode: () => Promise.resolve({ buf: body, buffer: body }),
        },
        response: { decode: (answer) => Promise.resolve(decode(answer)), parse: (answer) => Promise.resolve(answer) },
        requestTimeout: waitMs === 0 ? null : waitMs + this.requestTimeoutMs,
        logResponseError: false,
      })) as T;
    } catch (error) {
      // As kafkajs does for its own requests: a closed connection is made anew by the next one.
      if (error instanceof Error && error.name === 'KafkaJSConnectionClosedError') await broker.disconnect();
      throw error;
    }
  }

  async leaderBroker(topic: string, partition: number): Promise<OffsetBroker> {
    return (await this.cluster.findBroker({ nodeId: String(this.leader(topic, partition)) })) as OffsetBroker;
  }

  async anyBroker(): Promise<TransactionBroker> {
    return (await this.cluster.findBroker({ nodeId: String(this.cluster.getNodeIds()[0] ?? '') })) as TransactionBroker;
  }

  async groupCoordinator(groupId: string): Promise<GroupBroker & TransactionBroker> {
    return (await this.coordinator(groupId, COORDINATOR_GROUP)) as GroupBroker & TransactionBroker;
  }

  async transactionCoordinator(transactionalId: string): Promise<TransactionBroker> {
    return (await this.coordinator(transactionalId, COORDINATOR_TRANSACTION)) as TransactionBroker;
  }

  private async coordinator(id: string, coordinatorType: number): Promise<Broker> {
    const asked = { groupId: id, coordinatorType };
    try {
      return await this.cluster.findGroupCoordinator(asked);
    } catch (error) {
      if (errorType(error) === '') await this.refresh();
      throw error;
    }
  }

  /** Waits for requests under way. */
  async close(): Promise<void> {
    this.closed = true;
    await this.cluster.disconnect();
  }
}

interface Pool {
  send(request: {
    request: {
      apiKey: number;
      apiVersion: number;
      apiName: string;
      encode(): Promise<{ buf: Buffer; buffer: Buffer }>;
    };
    response: { decode(answer: Buffer): Promise<unknown>; parse(answer: unknown): Promise<unknown> };
    requestTimeout: number | null;
    logResponseError: boolean;
  }): Promise<unknown>;
}
