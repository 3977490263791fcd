/** Metrics: what a scraper reads, and what a component may rely on when it keeps handles. */
import { describe, expect, it } from 'vitest';
import { createMetrics } from '../../streams/metrics.js';

describe('createMetrics', () => {
  it('renders counters and gauges with prefix, namespace and labels in a fixed order', async () => {
    const metrics = createMetrics({ namespace: 'shop-1' });
    metrics.counter('records_total', 'Records read.', { topic: 'b' }).inc(2);
    metrics.counter('records_total', 'Records read.', { topic: 'a' }).inc();
    metrics.gauge('queue_depth', 'Waiting records.').set(7);
    expect(await metrics.render()).toBe(
      [
        '# HELP freshet_shop_1_records_total Records read.',
        '# TYPE freshet_shop_1_records_total counter',
        'freshet_shop_1_records_total{topic="a"} 1',
        'freshet_shop_1_records_total{topic="b"} 2',
        '',
        '# HELP freshet_shop_1_queue_depth Waiting records.',
        '# TYPE freshet_shop_1_queue_depth gauge',
        'freshet_shop_1_queue_depth 7',
        '',
      ].join('\n'),
    );
  });

  it('renders a histogram cumulatively, with sum and count', async () => {
    const metrics = createMetrics({ namespace: 'default' });
    const histogram = metrics.histogram('wait_ms', 'Waiting.', { buckets: [1, 10], labels: { stage: 'users' } });
    for (const value of [0.5, 1, 5, 100]) histogram.observe(value);
    const text = await metrics.render();
    expect(text).toContain('freshet_default_wait_ms_bucket{stage="users",le="1"} 2');
    expect(text).toContain('freshet_default_wait_ms_bucket{stage="users",le="10"} 3');
    expect(text).toContain('freshet_default_wait_ms_bucket{stage="users",le="+Inf"} 4');
    expect(text).toContain('freshet_default_wait_ms_sum{stage="users"} 106.5');
    expect(text).toContain('freshet_default_wait_ms_count{stage="users"} 4');
  });

  it('gives the same handle for the same name and labels, whatever their order', () => {
    const metrics = createMetrics({ namespace: 'default' });
    const first = metrics.counter('hits_total', 'Hits.', { a: '1', b: '2' });
    expect(metrics.counter('hits_total', 'Hits.', { b: '2', a: '1' })).toBe(first);
  });

  it('reads a computed gauge when it renders, not before', async () => {
    const metrics = createMetrics({ namespace: 'default' });
    let lag = 1;
    metrics.gaugeOf('lag_records', 'Lag.', () => lag);
    lag = 42;
    expect(await metrics.render()).toContain('freshet_default_lag_records 42');
  });

  it('estimates quantiles within a bucket', () => {
    const histogram = createMetrics({ namespace: 'default' }).histogram('x_ms', 'X.', { buckets: [10, 20, 40] });
    expect(histogram.quantile(0.5)).toBeNaN();
    for (let i = 0; i < 100; i++) histogram.observe(15);
    expect(histogram.quantile(0.5)).toBe(15);
    histogram.observe(1_000);
    expect(histogram.quantile(1)).toBe(40);
  });

  it('refuses the same name with another kind or other labels', () => {
    const metrics = createMetrics({ namespace: 'default' });
    metrics.counter('hits_total', 'Hits.', { a: '1' });
    expect(() => metrics.gauge('hits_total', 'Hits.', { a: '1' })).toThrow(/is a counter/);
    expect(() => metrics.counter('hits_total', 'Hits.', { c: '1' })).toThrow(/labels \[a\]/);
  });

  it('refuses to decrease a counter', () => {
    const counter = createMetrics({ namespace: 'default' }).counter('hits_total', 'Hits.');
    expect(() => counter.inc(-1)).toThrow(/hits_total/);
    expect(() => counter.inc(Number.NaN)).toThrow(/hits_total/);
  });

  it('folds series above the bound into one called other and loses no count', () => {
    const metrics = createMetrics({ namespace: 'default' });
    for (let i = 0; i < 2_100; i++) metrics.counter('by_user_total', 'By user.', { user: `u${i}` }).inc();
    const samples = metrics.samples();
    expect(samples.length).toBe(2_001);
    expect(samples.find(({ labels }) => labels['user'] === 'other')?.value).toBe(100);
  });

  it('reports the process when asked to', async () => {
    const text = await createMetrics({ namespace: 'default', includeProcess: true }).render();
    expect(text).toContain('freshet_default_process_resident_memory_bytes');
  });
});
