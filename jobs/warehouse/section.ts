/** The `warehouse` section of the configuration: what analysts find in ClickHouse, and for how long. */
import { defineSection, setting } from '../../streams/config.js';
import type { SectionValues } from '../../streams/config.js';

export const warehouseSection = defineSection(
  'warehouse',
  {
    enabled: setting.flag({
      default: true,
      description: 'Copy events, sessions and rewards into the warehouse for SQL. The engine runs the same without it.',
    }),
    url: setting.optionalText({
      address: 'FRESHET_CLICKHOUSE_URL',
      description:
        'HTTP address of a ClickHouse server, such as https://clickhouse:8443. Without it the embedded one in the data directory is used.',
    }),
    username: setting.text({ default: 'default', description: 'User on that server.' }),
    password: setting.optionalText({
      secret: 'FRESHET_CLICKHOUSE_PASSWORD',
      description: 'Password on that server; better set by the environment.',
    }),
    retentionDays: setting.integer({
      default: 365,
      min: 0,
      max: 36_500,
      unit: 'days',
      description: 'Age since they were logged at which rows are removed; the catalogue stays. 0 keeps everything.',
    }),
    blockWaitMs: setting.integer({
      default: 5_000,
      min: 50,
      max: 3_600_000,
      unit: 'ms',
      description: 'How long a row waits for its block to fill: longer makes fewer, larger writes and later answers.',
    }),
    blockRows: setting.integer({
      default: 50_000,
      min: 100,
      max: 100_000,
      unit: 'rows',
      description:
        'Most rows of one insert. Larger costs the warehouse less a row, which merges what was inserted, and takes more memory until it is stored.',
    }),
    memoryBytes: setting.integer({
      default: 2 * 2 ** 30,
      min: 2 ** 28,
      max: 2 ** 40,
      unit: 'bytes',
      description: 'Memory for all statements of the embedded warehouse together, in its own process.',
    }),
    sqlRowsMax: setting.integer({
      default: 10_000,
      min: 1,
      max: 100_000,
      unit: 'rows',
      description: 'Rows that one statement sent to a running engine may return.',
    }),
    sqlTimeoutMs: setting.integer({
      default: 30_000,
      min: 100,
      max: 600_000,
      unit: 'ms',
      description: 'Time that one statement sent to a running engine may take.',
    }),
  },
  { description: 'Tables for analysts.' },
);

export type WarehouseConfig = SectionValues<typeof warehouseSection>;
