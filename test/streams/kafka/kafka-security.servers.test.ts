/** TLS and SASL against a real broker. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { isEngineError } from '../../../schemas/errors.js';
import type { KafkaLogOptions } from '../../../streams/kafka/index.js';
import { describeWithKafka } from '../../harness/servers/needs.js';
import { createServerDirectory, removeServerDirectory } from '../../harness/servers/server-process.js';
import { broker, openLog, startBroker, stopBroker } from './kafka-harness.js';

const PASSWORD = 'secret-of-tests';
const sasl = { username: 'engine', password: PASSWORD };

describeWithKafka('a Kafka log', () => {
  let directory: string;
  let authority: string;

  beforeAll(async () => {
    directory = createServerDirectory('keys');
    const keystore = join(directory, 'broker.p12');
    const store = ['-keystore', keystore, '-storetype', 'PKCS12', '-storepass', PASSWORD, '-alias', 'broker'];
    const name = ['-dname', 'CN=localhost', '-ext', 'SAN=IP:127.0.0.1,DNS:localhost'];
    const keytool = (...args: string[]): void => void execFileSync('keytool', args, { stdio: 'ignore' });
    keytool('-genkeypair', '-keyalg', 'EC', '-validity', '2', ...name, ...store);
    const certificate = join(directory, 'broker.pem');
    keytool('-exportcert', '-rfc', '-file', certificate, ...store);
    authority = readFileSync(certificate, 'utf8');
    await startBroker({ sasl, tls: { keystore, password: PASSWORD } });
  });
  afterAll(async () => {
    await stopBroker();
    if (directory !== undefined) removeServerDirectory(directory);
  });

  const works = async (options: Partial<KafkaLogOptions>): Promise<void> => {
    const log = await openLog(options);
    try {
      await log.createTopics([{ name: 'events', partitions: 1, class: 'event' }]);
      await log.append('events', [{ key: 'a', value: Buffer.from('1') }]);
      const limits = { recordsMax: 10, bytesMax: 1_000 };
      expect((await log.read('events', 0, 0, limits)).records.map(({ key }) => key)).toEqual(['a']);
    } finally {
      await log.close();
    }
  };

  it.each(['plain', 'scram-sha-256', 'scram-sha-512'] as const)('logs in by %s', async (mechanism) => {
    await works({ brokers: broker().saslBrokers, sasl: { mechanism, ...sasl } });
  });

  it.each(['plain', 'scram-sha-512'] as const)('is refused for good with a wrong password (%s)', async (mechanism) => {
    const login = { mechanism, username: 'engine', password: 'wrong' };
    const error: unknown = await works({ brokers: broker().saslBrokers, sasl: login }).catch(
      (thrown: unknown) => thrown,
    );
    expect(isEngineError(error, 'LOG_REFUSED')).toBe(true);
    expect((error as Error).message).not.toContain('wrong');
  });

  it('speaks TLS with a broker whose authority it trusts, and with no other', async () => {
    await works({ brokers: broker().tlsBrokers, tls: { ca: authority } });
    await expect(works({ brokers: broker().tlsBrokers, tls: {} })).rejects.toSatisfy((error) => isEngineError(error));
  });
});
