/** Commands that run an engine, fill it, and look after what it keeps. */
import { parseCount } from '../commands/command.js';
import type { DataOptions } from '../commands/command.js';
import type { DeadLetterOptions } from '../commands/dead-letters.js';
import type { ImportCommandOptions } from '../commands/import.js';
import type { MigrateOptions } from '../commands/migrate.js';
import type { RepartitionCommandOptions } from '../commands/repartition.js';
import type { ReplayOptions } from '../commands/replay.js';
import type { SimulateOptions } from '../commands/simulate.js';
import type { SqlOptions } from '../commands/sql.js';
import type { UpOptions } from '../commands/up.js';
import { DATA, MODELS, command, option } from './command-entry.js';
import type { CommandEntry } from './command-entry.js';

const MAPPING = option('--mapping <file|name>', 'mapping file, or the name of one that comes with freshet', {
  isRequired: true,
});
const CODE = option('--code <code>', 'only those with this error code');
const limit = (description: string, most: number) =>
  option('--limit <n>', description, { parse: parseCount('limit'), default: most });

export const ENGINE_COMMANDS: readonly CommandEntry[] = [
  command<UpOptions>({
    usage: 'up',
    description: 'run the engine until it is told to stop',
    options: [
      ...DATA,
      option('--port <n>', 'port to listen on; 0 picks a free one', { parse: parseCount('port') }),
      option('--host <address>', 'address to listen on; anything but loopback needs API keys'),
      option('--roles <list>', 'what this process does: stream, serve, warehouse; or train alone', {
        default: 'stream,serve,warehouse',
      }),
      option('--demo', 'send simulated traffic'),
      option('--rate <n>', 'with --demo: records a second', { parse: parseCount('rate'), default: 50 }),
      option('--seed <text>', 'with --demo: seed of the simulated world', { default: 'demo' }),
      MODELS,
    ],
    run: async (context, options) => (await import('../commands/up.js')).runUp(context, options),
  }),
  command<SimulateOptions>({
    usage: 'simulate',
    description: 'let seeded people use the engine and measure whether it learns their tastes',
    options: [
      ...DATA,
      option('--events <n>', 'records of people', { parse: parseCount('events'), default: 30_000 }),
      option('--users <n>', 'people', { parse: parseCount('users'), default: 2_000 }),
      option('--items <n>', 'items', { parse: parseCount('items'), default: 2_000 }),
      option('--seed <text>', 'seed of the world', { default: 'simulate' }),
    ],
    run: async (context, options, _, given) => {
      const { runSimulate } = await import('../commands/simulate.js');
      await runSimulate(context, { ...options, data: given('data') ? options.data : undefined });
    },
  }),
  command<ImportCommandOptions, [file: string]>({
    usage: 'import <file>',
    description: 'append a file through a mapping; can be cut off and repeated',
    options: [...DATA, MAPPING, limit('rows to read at most', Infinity)],
    run: async (context, options, [file]) => (await import('../commands/import.js')).runImport(context, file, options),
  }),
  command<ReplayOptions, [file: string]>({
    usage: 'replay <file>',
    description: 'run a file through the whole engine; --evaluate measures its recommendations',
    options: [
      ...DATA,
      MAPPING,
      limit('events to read at most', Infinity),
      option('--evaluate', 'ask for the top 10 before each event and score it'),
      option('--sources <names>', 'with --evaluate: also score single sources, such as session-knn,trending'),
      option('--lag-events <n>', 'with --evaluate: events a batch in the normal mode', {
        parse: parseCount('lag-events'),
        default: 16,
      }),
      option('--lockstep', 'both stages in a fixed interleaving: reproducible as a whole'),
      option('--speed <speed>', 'max, or a multiple of the file’s own speed such as 60x', { default: 'max' }),
    ],
    run: async (context, options, [file]) => (await import('../commands/replay.js')).runReplay(context, file, options),
  }),
  command<DataOptions>({
    usage: 'state digest',
    description: 'one hash for each stage and partition',
    options: DATA,
    run: async (context, options) => (await import('../commands/state.js')).runStateDigest(context, options),
  }),
  command<DataOptions, [stage: string, key: string]>({
    usage: 'state get <stage> <key>',
    description: 'the state under one key, as JSON',
    options: DATA,
    run: async (context, options, [stage, key]) =>
      (await import('../commands/state.js')).runStateGet(context, stage, key, options),
  }),
  command<DataOptions, [directory: string]>({
    usage: 'state export <dir>',
    description: 'the same as snapshot export',
    options: DATA,
    run: async (context, options, [directory]) =>
      (await import('../commands/snapshot.js')).runSnapshotExport(context, directory, options),
  }),
  command<DataOptions, [directory: string]>({
    usage: 'snapshot export <dir>',
    description: 'write a snapshot of every partition',
    options: DATA,
    run: async (context, options, [directory]) =>
      (await import('../commands/snapshot.js')).runSnapshotExport(context, directory, options),
  }),
  command<DataOptions, [directory: string]>({
    usage: 'snapshot restore <dir>',
    description: 'replace the state of the partitions by their snapshots; the log does the rest',
    options: DATA,
    run: async (context, options, [directory]) =>
      (await import('../commands/snapshot.js')).runSnapshotRestore(context, directory, options),
  }),
  command<MigrateOptions>({
    usage: 'migrate',
    description: 'copy log and state out of the data directory to Kafka and Redis; can be cut off and repeated',
    options: [
      ...DATA,
      option('--from <storage>', 'where the data are', { default: 'embedded' }),
      option('--to <storage>', 'where they go; its addresses are in the configuration', { default: 'distributed' }),
    ],
    run: async (context, options) => (await import('../commands/migrate.js')).runMigrate(context, options),
  }),
  command<RepartitionCommandOptions>({
    usage: 'repartition',
    description: 'change the number of partitions, of an engine that is up or stopped; can be cut off and repeated',
    options: [
      ...DATA,
      option('--partitions <n>', 'how many there are to be; what is configured when left out', {
        parse: parseCount('partitions'),
      }),
    ],
    run: async (context, options) => (await import('../commands/repartition.js')).runRepartition(context, options),
  }),
  command<DeadLetterOptions>({
    usage: 'dead-letters list',
    description: 'show them, oldest first',
    options: [...DATA, limit('show at most', 100), CODE],
    run: async (context, options) => (await import('../commands/dead-letters.js')).runDeadLettersList(context, options),
  }),
  command<DeadLetterOptions>({
    usage: 'dead-letters replay',
    description: 'send them to their topics again',
    options: [...DATA, limit('replay at most', Infinity), CODE],
    run: async (context, options) =>
      (await import('../commands/dead-letters.js')).runDeadLettersReplay(context, options),
  }),
  command<SqlOptions, [query: string]>({
    usage: 'sql <query>',
    description: 'ask the warehouse; reading statements only',
    options: [
      ...DATA,
      option('--format <format>', 'how rows are printed', { choices: ['table', 'json', 'csv'], default: 'table' }),
    ],
    run: async (context, options, [query]) => (await import('../commands/sql.js')).runSql(context, query, options),
  }),
  command<DataOptions>({
    usage: 'doctor',
    description: 'check this machine, the configuration and the data directory',
    options: DATA,
    run: async (context, options) => (await import('../commands/doctor.js')).runDoctor(context, options),
  }),
];
