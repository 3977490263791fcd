/** What operators see of the adapter: sizes and times of sends, fetches, distance to the log's end, rebalances. */
import type { Counter, Gauge, Histogram, Metrics } from '../metrics.js';

const RECORD_BUCKETS = [1, 5, 25, 100, 250, 500, 1_000, 5_000, 25_000];
const BYTE_BUCKETS = [256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576];

export class KafkaMetrics {
  readonly sendMs: Histogram;
  private readonly fetches: Counter;
  private readonly fetchedBytes: Counter;
  private readonly records: Histogram;
  private readonly bytes: Histogram;
  private readonly retries: Counter;
  private readonly lags = new Map<string, Gauge>();

  constructor(private readonly metrics: Metrics) {
    this.sendMs = metrics.histogram('log_send_duration_ms', 'Time until a send to Kafka was acknowledged.');
    this.records = metrics.histogram('log_send_records', 'Records in a batch sent.', { buckets: RECORD_BUCKETS });
    this.bytes = metrics.histogram('log_send_bytes', 'Bytes of a batch sent, compressed.', { buckets: BYTE_BUCKETS });
    this.retries = metrics.counter('log_send_retries_total', 'Batches sent once more.');
    this.fetches = metrics.counter('log_fetches_total', 'Answers to fetches, one a partition.');
    this.fetchedBytes = metrics.counter('log_fetched_bytes_total', 'Bytes of records fetched.');
  }

  sent(records: number, bytes: number, again: boolean): void {
    this.records.observe(records);
    this.bytes.observe(bytes);
    if (again) this.retries.inc();
  }

  fetched(bytes: number): void {
    this.fetches.inc();
    this.fetchedBytes.inc(bytes);
  }

  /** Records between what was read last and the end of the log. */
  lag(topic: string, partition: number, records: number): void {
    const key = `${topic}/${partition}`;
    let gauge = this.lags.get(key);
    if (gauge === undefined) {
      gauge = this.metrics.gauge('log_lag_records', 'Records between what was read last and the end of the log.', {
        topic,
        partition: String(partition),
      });
      this.lags.set(key, gauge);
    }
    gauge.set(records);
  }

  rebalances(group: string): Counter {
    return this.metrics.counter('log_rebalances_total', 'Rebalances this process took part in.', { group });
  }
}
