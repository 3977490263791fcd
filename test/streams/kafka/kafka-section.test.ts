import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { defineConfig } from '../../../streams/config.js';
import { DEFAULT_TUNING } from '../../../streams/kafka/kafka-options.js';
import { type KafkaConfig, kafkaOptionsOf, kafkaSection } from '../../../streams/kafka/kafka-section.js';

const config = (values: Partial<KafkaConfig>): KafkaConfig => {
  const defaults = defineConfig({ kafka: kafkaSection }).load().kafka;
  return { ...defaults, ...values };
};

describe('the kafka section', () => {
  it('takes brokers as a list, and is plain text without login by default', () => {
    const options = kafkaOptionsOf(config({ brokers: 'a:9092, b:9092,' }));
    expect(options.brokers).toEqual(['a:9092', 'b:9092']);
    expect([options.sasl, options.tls]).toEqual([undefined, undefined]);
    expect({ ...DEFAULT_TUNING, ...options.tuning }).toEqual(DEFAULT_TUNING);
  });

  it('reads certificates from files, and says which key names one that is not there', () => {
    const directory = mkdtempSync(join(tmpdir(), 'freshet-section-'));
    const tlsAuthority = join(directory, 'ca.pem');
    writeFileSync(tlsAuthority, 'PEM');
    const options = kafkaOptionsOf(config({ tls: true, tlsAuthority, sasl: 'plain', username: 'u', password: 'p' }));
    expect(options.tls).toEqual({ ca: 'PEM', certificate: undefined, key: undefined });
    expect(options.sasl).toEqual({ mechanism: 'plain', username: 'u', password: 'p' });
    rmSync(directory, { recursive: true });
    expect(() => kafkaOptionsOf(config({ tls: true, tlsAuthority }))).toThrow(/kafka\.tlsAuthority/);
  });
});
