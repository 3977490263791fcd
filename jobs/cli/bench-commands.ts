/** Measurements of this machine. */
import type { IalsBenchOptions } from '../bench/ials.js';
import type { IngestBenchOptions } from '../bench/ingest.js';
import type { LatencyOptions } from '../bench/latency.js';
import type { MemoryOptions } from '../bench/memory.js';
import type { NeuralScoresOptions } from '../bench/neural-scores.js';
import type { ReplayMemoryOptions } from '../bench/replay-memory.js';
import type { SequentialStepOptions } from '../bench/sequential-step.js';
import type { ServeOptions } from '../bench/serve.js';
import type { SinkBenchOptions } from '../bench/sink.js';
import type { SubscribersBenchOptions } from '../bench/subscribers.js';
import type { TakeoverOptions } from '../bench/takeover.js';
import type { ThroughputOptions } from '../bench/throughput.js';
import type { W1Options } from '../bench/w1.js';
import { parseCount } from '../commands/command.js';
import { SET, command, option } from './command-entry.js';
import type { CommandEntry, OptionEntry } from './command-entry.js';

/** Log and state on servers instead of a new directory. */
const SERVERS: readonly OptionEntry[] = [
  option('--kafka <host:port>', 'a broker: the log is there, not embedded'),
  option('--redis <host:port>', 'with --kafka: where the state is kept'),
];
const count = (name: string, value: string, description: string, most?: number): OptionEntry =>
  option(`--${name} <${value}>`, description, {
    parse: parseCount(name),
    ...(most === undefined ? {} : { default: most }),
  });
const PROFILE = option('--profile <dir>', 'write CPU profiles of the engine here');

export const BENCH_COMMANDS: readonly CommandEntry[] = [
  command<W1Options>({
    usage: 'bench w1',
    description: 'sessions over clicks, topic filled before, outputs stored and checked',
    options: [
      ...SERVERS,
      option('--file <csv.gz>', 'Globo’s clicks, for a run in one process'),
      count('limit', 'n', 'clicks of the file', Infinity),
      option('--input <topic>', 'with --kafka: topic with clicks', { default: 'clicks' }),
      option('--output <topic>', 'with --kafka: topic for sessions, empty or new', { default: 'sessions' }),
      option('--started <file>', 'with --kafka: write here when the first record was read'),
      option('--until-stopped', 'with --kafka: stay, and leave the checking to others'),
      SET,
    ],
    run: async (context, options) => (await import('../bench/w1.js')).runW1(context, options),
  }),
  command<ThroughputOptions>({
    usage: 'bench throughput',
    description: 'the whole chain with durable commits, over a file or the simulator’s mix',
    options: [
      ...SERVERS,
      option('--file <file>', 'replay this file instead of the simulator’s mix'),
      option('--mapping <file|name>', 'mapping of the file', { default: 'globo' }),
      count('limit', 'n', 'events', Infinity),
      count('seed', 'n', 'seed of the mix', 1),
      SET,
    ],
    run: async (context, options) => (await import('../bench/throughput.js')).runThroughput(context, options),
  }),
  command<LatencyOptions>({
    usage: 'bench latency',
    description: 'from an act to the refreshed feed: 1,000 subscribers, one event a request',
    options: [
      ...SERVERS,
      count('subscribers', 'n', 'users, each with an open feed', 1_000),
      count('rate', 'n', 'events a second, sent whether or not answers came', 2_000),
      count('items', 'n', 'items of the catalogue', 10_000),
      count('seconds', 'n', 'measured time', 60),
      count('warmup', 'n', 'seconds before', 15),
      count('runs', 'n', 'runs, each with a new engine; the median is reported', 3),
      PROFILE,
      SET,
    ],
    run: async (context, options) => (await import('../bench/latency.js')).runLatency(context, options),
  }),
  command<SubscribersBenchOptions>({
    usage: 'bench subscribers',
    description: 'memory of an idle feed, and the time until all were refreshed once',
    options: [
      count('subscribers', 'n', 'users, each with an open feed', 10_000),
      count('items', 'n', 'items of the catalogue', 10_000),
      PROFILE,
      SET,
    ],
    run: async (context, options) => (await import('../bench/subscribers.js')).runSubscribers(context, options),
  }),
  command<TakeoverOptions>({
    usage: 'bench takeover',
    description:
      'kill -9 of a stream worker on Kafka and Redis: ms until another commits on its partitions, and feeds follow',
    options: [
      ...SERVERS,
      count('users', 'n', 'people whose state is there', 300_000),
      count('items', 'n', 'items of the catalogue', 10_000),
      count('events', 'n', 'events of each person before the first kill', 1),
      count('subscribers', 'n', 'users with an open feed', 200),
      count('rate', 'n', 'events a second, sent whether or not answers came', 50),
      count('kills', 'n', 'workers killed, one after another', 5),
      count('seed', 'n', 'seed of people and events', 1),
      option('--peer <jars>', 'folder with the jars of Kafka Streams, which is measured first'),
      option('--peer-guarantee <name>', 'of Kafka Streams', {
        default: 'exactly_once_v2',
        choices: ['exactly_once_v2', 'at_least_once'],
      }),
      SET,
    ],
    run: async (context, options) => (await import('../bench/takeover.js')).runTakeover(context, options),
  }),
  command<ServeOptions>({
    usage: 'bench serve',
    description: 'recommendations asked for at a steady rate',
    options: [
      count('items', 'n', 'items of the catalogue', 100_000),
      count('users', 'n', 'users with a history', 5_000),
      count('rate', 'n', 'requests a second, sent whether or not answers came', 200),
      count('seconds', 'n', 'measured time', 60),
      count('warmup', 'n', 'seconds before', 10),
      PROFILE,
      SET,
    ],
    run: async (context, options) => (await import('../bench/serve.js')).runServe(context, options),
  }),
  command<SequentialStepOptions>({
    usage: 'bench sequential-step',
    description: 'one live event of the transformer, incrementally and recomputed',
    options: [
      count('users', 'n', 'people whose events alternate', 200),
      count('events', 'n', 'events measured', 20_000),
      count('items', 'n', 'items of the catalogue', 10_000),
      count('memory', 'MiB', 'bound of all states', 64),
      count('seed', 'n', 'seed of parameters and events', 1),
    ],
    run: async (context, options) => (await import('../bench/sequential-step.js')).runSequentialStep(context, options),
  }),
  command<NeuralScoresOptions>({
    usage: 'bench neural-scores',
    description: 'the candidates of a request scored by neural_cf',
    options: [
      count('candidates', 'n', 'items scored at once', 1_000),
      count('requests', 'n', 'requests measured', 2_000),
      count('users', 'n', 'people of the fit', 1_000),
      count('items', 'n', 'items of the catalogue', 10_000),
      { flags: '--strangers', description: 'people unknown to the model, as serving asks', default: false },
      count('seed', 'n', 'seed of people and requests', 1),
    ],
    run: async (context, options) => (await import('../bench/neural-scores.js')).runNeuralScores(context, options),
  }),
  command<IalsBenchOptions>({
    usage: 'bench ials',
    description: 'an epoch of ials, beside one of the Python package implicit where there is one',
    options: [
      option('--file <file>', 'interactions to learn from', { isRequired: true }),
      option('--mapping <file|name>', 'mapping of the file', { isRequired: true }),
      count('factors', 'n', 'length of the vectors', 64),
      count('epochs', 'n', 'epochs of a turn', 8),
      count('threads', 'n', 'threads of either', 2),
      count('turns', 'n', 'how often one runs after the other', 3),
      option('--peer <python>', 'an interpreter that can import implicit'),
    ],
    run: async (context, options) => (await import('../bench/ials.js')).runIalsBench(context, options),
  }),
  command<MemoryOptions>({
    usage: 'bench memory',
    description: 'anonymous memory of a process that serves a trained model, with people and items known',
    options: [
      count('users', 'n', 'people with a history', 1_000_000),
      count('items', 'n', 'items of the catalogue', 100_000),
      count('events', 'n', 'events of each person, in one session', 2),
      count('factors', 'n', 'length of the model’s vectors', 64),
      count('requests', 'n', 'recommendations asked for, of drawn people', 5_000),
      count('seed', 'n', 'seed of events and requests', 1),
      option('--roles <list>', 'roles of the process', { default: 'stream,serve' }),
      option('--keep <dir>', 'where data and model are kept, and found again when they are there'),
      SET,
    ],
    run: async (context, options) => (await import('../bench/memory.js')).runMemory(context, options),
  }),
  command<SinkBenchOptions>({
    usage: 'bench sink',
    description: 'from the log into the analysts’ tables: rows a second, each there once',
    options: [
      count(
        'interactions',
        'n',
        'interactions of the simulator’s mix, a viewed impression of ten places for every three',
        60_000,
      ),
      count('seed', 'n', 'seed of the mix', 1),
      count('kills', 'n', 'kill -9 of the embedded warehouse, spread over the run', 0),
      SET,
    ],
    run: async (context, options) => (await import('../bench/sink.js')).runSink(context, options),
  }),
  command<ReplayMemoryOptions>({
    usage: 'bench replay-memory',
    description: 'anonymous memory of replays of a file of clicks, one after another',
    options: [
      option('--file <csv.gz>', 'Globo’s clicks', { isRequired: true }),
      count('items', 'n', 'items of a drawn catalogue beside those clicked', 50_000),
      count('replays', 'n', 'replays, each a week later', 2),
      count('seed', 'n', 'seed of the catalogue', 1),
      SET,
    ],
    run: async (context, options) => (await import('../bench/replay-memory.js')).runReplayMemory(context, options),
  }),
  command<IngestBenchOptions>({
    usage: 'bench ingest',
    description: 'events over HTTP, durable before the answer: one a request, then lists',
    options: [
      count('clients', 'n', 'clients, each with one request under way', 8),
      count('batch', 'n', 'events of a list', 1_000),
      count('items', 'n', 'items of the catalogue', 10_000),
      count('users', 'n', 'users', 5_000),
      count('seconds', 'n', 'measured time of each of the two', 20),
      count('warmup', 'n', 'seconds before each', 5),
      PROFILE,
      SET,
    ],
    run: async (context, options) => (await import('../bench/ingest.js')).runIngest(context, options),
  }),
];
