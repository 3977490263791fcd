/**
 * The import law.
 *
 *     schemas <- streams <- operators <- serving        jobs may import all; nobody imports jobs or test
 *
 * Operators and serving see ports, never an adapter: which adapter is in use is decided by the wiring in jobs/.
 * Each third-party package is imported by exactly one file, behind an interface of ours.
 */

/** Package -> the file (a regular expression) that may import it. */
const OWNERS = {
  sharp: 'serving/models/content/encoders/picture[.]ts',
  'onnxruntime-node': 'serving/models/content/encoders/onnx-session[.]ts',
  '@huggingface/tokenizers': 'serving/models/content/encoders/sentence-transformer[.]ts',
  '@tensorflow/tfjs': 'serving/models/tensors/tensor-library[.]ts',
  '@tensorflow/tfjs-backend-wasm': 'serving/models/tensors/tensor-library[.]ts',
  '@clickhouse/client': 'streams/warehouse/clickhouse-[a-z-]+[.]ts',
  avsc: 'schemas/avro[.]ts',
  bullmq: 'jobs/work/shard-queue[.]ts',
  chdb: 'streams/warehouse/chdb-[a-z-]+[.]ts',
  commander: 'jobs/cli[.]ts',
  'csv-parse': 'jobs/import/[^/]+[.]ts',
  fastify: 'serving/http/server[.]ts',
  kafkajs: 'streams/kafka/kafka-client[.]ts',
  ioredis: 'streams/redis/redis-nodes[.]ts',
  lmdb: 'streams/lmdb/lmdb-file[.]ts',
  pino: 'streams/logger[.]ts',
  'prom-client': 'streams/metrics[.]ts',
  snappyjs: 'streams/kafka/compression[.]ts',
  usearch: 'serving/models/vectors/graph-index[.]ts',
  // The server, and the client of the benchmark's own process.
  ws: '(serving/feed/feed-server|jobs/bench/load-client)[.]ts',
  yaml: 'streams/yaml[.]ts',
  // Shapes are checked in few places: configuration, and files of rules or mappings a person writes.
  zod: '(streams/config[.]ts|[^ ]*-schema[.]ts)',
};

/** The implementations behind the ports. Where a folder holds port and adapters, the adapter's name leads the file's. */
const ADAPTERS =
  '^streams/((lmdb|kafka|redis|memory|simulated)/|(log|state|warehouse)/(lmdb|kafka|redis|memory|simulated|chdb|clickhouse|embedded)[^/]*[.]ts$)';

const escape = (name) => name.replaceAll('/', '[/]').replaceAll('.', '[.]');

const ownerRules = Object.entries(OWNERS).map(([name, owner]) => ({
  name: `one-importer-of-${name}`,
  comment: `${name} is imported by ${owner} only; use the interface that file offers.`,
  severity: 'error',
  from: { path: '^(schemas|streams|operators|serving|jobs)/', pathNot: `^${owner}$` },
  to: { path: `(^|/)node_modules/${escape(name)}/` },
}));

/** Where an owner is a pattern, still only one of the files it matches may import the package. */
const sharedByFew = new Set(['zod', 'ws']);
const single = Object.keys(OWNERS).filter((name) => !sharedByFew.has(name));
const oneImporter = {
  name: 'one-importer-per-package',
  severity: 'error',
  module: { path: `(^|/)node_modules/(${single.map(escape).join('|')})/`, numberOfDependentsMoreThan: 1 },
  from: { path: '^(schemas|streams|operators|serving|jobs)/' },
};

const layer = (name, forbidden) => ({
  name: `${name}-imports-left-only`,
  comment: 'Imports point left: schemas <- streams <- operators <- serving <- jobs.',
  severity: 'error',
  from: { path: `^${name}/` },
  to: { path: `^(${forbidden})/` },
});

module.exports = {
  forbidden: [
    layer('schemas', 'streams|operators|serving|jobs'),
    layer('streams', 'operators|serving|jobs'),
    layer('operators', 'serving|jobs'),
    layer('serving', 'jobs'),
    {
      name: 'nobody-imports-test',
      severity: 'error',
      from: { pathNot: '^test/' },
      to: { path: '^test/' },
    },
    {
      name: 'ports-not-adapters',
      comment: 'Operators and serving are handed a port; jobs/ chooses the adapter.',
      severity: 'error',
      from: { path: '^(operators|serving)/' },
      to: { path: ADAPTERS },
    },
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    { name: 'not-resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'declared-dependencies-only',
      comment: 'What runs in production stands under dependencies in package.json.',
      severity: 'error',
      from: { path: '^(schemas|streams|operators|serving|jobs)/', pathNot: '^jobs/bench' },
      to: {
        dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown', 'undetermined'],
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'undeclared-package',
      comment: 'A package used in code must have its line in OWNERS above.',
      severity: 'error',
      from: { path: '^(schemas|streams|operators|serving|jobs)/', pathNot: '^jobs/bench' },
      to: {
        path: '(^|/)node_modules/',
        pathNot: `(^|/)node_modules/(@types/node|${Object.keys(OWNERS).map(escape).join('|')}|@types/ws)/`,
      },
    },
    ...ownerRules,
    oneImporter,
  ],
  options: {
    doNotFollow: { path: '(^|/)node_modules/' },
    exclude: { path: '^dist/' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default'],
    },
    cache: { folder: 'node_modules/.cache/dependency-cruiser', strategy: 'content' },
  },
};
