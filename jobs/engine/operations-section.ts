/** The `operations` section: where a process tells those who run it how it is. */
import { defineSection, setting } from '../../streams/config.js';
import type { SectionValues } from '../../streams/config.js';

export const operationsSection = defineSection(
  'operations',
  {
    host: setting.text({
      default: '127.0.0.1',
      address: 'FRESHET_OPERATIONS_HOST',
      description: 'Address of /metrics, /healthz and /readyz. They need no key: not for the open network.',
    }),
    port: setting.integer({
      default: 0,
      min: 0,
      max: 65_535,
      description: 'Their port, whatever roles the process has; 0: none but those of a serving node.',
    }),
    readyLagMax: setting.integer({
      default: 100_000,
      min: 0,
      max: 1e12,
      unit: 'records',
      description: 'Input records that a stream worker’s own partitions may be behind while it counts as ready.',
    }),
  },
  { description: 'Metrics and readiness of every role, on a port of their own.' },
);

export type OperationsConfig = SectionValues<typeof operationsSection>;
