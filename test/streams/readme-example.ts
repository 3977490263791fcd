/** The example of streams/README.md, which must contain everything below this comment, word for word. */
import { buildTopology, createSessionWindows, defineStage, jsonInput, jsonState } from '../../streams/index.js';
import { openEmbeddedStorage, StateQuery, StreamWorker, TestDriver } from '../../streams/index.js';
import { silentLogger, systemClock, systemRandom } from '../../streams/index.js';

type Click = { user: string; ts: number; page: string };

const visits = createSessionWindows<Click, string[], string>({
  name: 'visits',
  gapMs: 30 * 60_000, // a visit ends when half an hour passes without a click
  allowedLatenessMs: 60 * 60_000, // and can be corrected for an hour
  emission: 'close',
  aggregate: {
    initial: () => [],
    add: (pages, click) => [...pages, click.page].sort(),
    merge: (pages, others) => [...pages, ...others].sort(),
    result: (pages) => pages.join(' '),
    codec: jsonState<string[]>(),
  },
  send: (visit, context) => context.emit('visits', visit.key, Buffer.from(JSON.stringify(visit))),
});
const stage = defineStage<Click>({
  name: 'shop',
  input: 'clicks',
  outputs: ['visits'],
  operators: [visits],
  codec: jsonInput({ times: ({ ts }) => ({ ts, receivedAt: undefined }) }),
});
const encode = ({ user, ...click }: Click) => ({ key: user, value: Buffer.from(JSON.stringify(click)) });

export async function inMemory(clicks: Click[], until: number) {
  const driver = await TestDriver.create(stage); // the real task on a log and a store in memory; nothing waits
  await driver.pipe(...clicks.map(encode));
  await driver.advanceTime(until);
  return driver.outputs('visits').map(({ value }) => value.toString());
}

export async function onDisk(directory: string, clicks: Click[], user: string) {
  const [clock, random] = [systemClock, systemRandom()];
  const { log, store, close } = await openEmbeddedStorage({ directory, sync: 'always', clock, random });
  await log.createTopics(['clicks', 'visits'].map((name) => ({ name, partitions: 4, class: 'event' })));
  const topology = buildTopology('example', [stage]);
  const worker = new StreamWorker(topology, { log, store, clock, random }, { logger: silentLogger });
  await worker.start();
  await log.append('clicks', clicks.map(encode)); // durable when it resolves, processed within milliseconds
  await worker.drain();
  await worker.stop();
  const state = await new StateQuery(topology, log, store).get('shop', user);
  await close();
  return state;
}
