/**
 * Splits that somebody else made: a second file holds what was kept back.
 *
 * Either interactions under the same mapping (users with their test items, or whole test sessions), or lines of
 * `item item item TAB target`, the prefixes of the session-recommendation literature. Ids of both files are one space.
 */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { createGunzip } from 'node:zlib';
import { EngineError } from '../../schemas/errors.js';
import type { TrainingSet } from '../../serving/models/training-set.js';
import { grown } from '../../streams/typed-growth.js';
import type { IdIndex } from '../train/interaction-table.js';
import { CaseList } from './case-list.js';
import type { Protocol } from './evaluation-schema.js';
import { addPrefixes, caseOptions, timeAt } from './protocols.js';

/** Users of `test` are those of `train`: what the test file holds of each is right, the training row is the history. */
export function casesOfGiven(train: TrainingSet, test: TrainingSet, protocol: Protocol): CaseList {
  if (protocol.name === 'session-prefixes') return casesOfSessions(train, test, protocol);
  if (protocol.name !== 'given') {
    throw new EngineError(
      'EVALUATION_INVALID',
      `Protocol '${protocol.name}' splits one file; with 'data.test' it is 'given' or 'session-prefixes'.`,
    );
  }
  const cases = new CaseList(train, caseOptions(train, protocol));
  for (let user = 0; user < test.userIds.length; user++) {
    const [start, end] = [test.rowStart[user]!, test.rowStart[user + 1]!];
    const [from, to] = [train.rowStart[user] ?? 0, train.rowStart[user + 1] ?? 0];
    if (start === end || (from === to && !protocol.coldUsers)) continue;
    const wanted: number[] = [];
    for (let p = start; p < end; p++) {
      if (test.weights[p]! >= (protocol.relevantFrom ?? Number.MIN_VALUE)) wanted.push(test.items[p]!);
    }
    cases.add({ user: from === to ? -1 : user, from, to, relevant: wanted, now: timeAt(test, start) });
  }
  return cases;
}

function casesOfSessions(train: TrainingSet, test: TrainingSet, protocol: Protocol): CaseList {
  const cases = new CaseList(test, caseOptions(train, protocol));
  for (let u = 0; u < test.userIds.length; u++) addPrefixes(test, u, cases);
  return cases;
}

/** Lines of `prefix TAB target` as questions. Throws ROW_INVALID naming the line that is not of this form. */
export async function readPrefixTargets(path: string, items: IdIndex): Promise<PrefixTargets> {
  const prefixes = new PrefixTargets();
  const file = createReadStream(path);
  const plain = path.endsWith('.gz') ? file.pipe(createGunzip()) : file;
  file.on('error', (error) => plain.destroy(error));
  let number = 0;
  try {
    for await (const line of createInterface({ input: plain, crlfDelay: Infinity })) {
      number++;
      if (line.trim() === '') continue;
      const [prefix = '', target = ''] = line.split('\t');
      const tokens = prefix.split(/\s+/).filter((token) => token !== '');
      if (tokens.length === 0 || target.trim() === '') {
        throw new EngineError(
          'ROW_INVALID',
          `Line ${number} of '${path}' is '${line.slice(0, 60)}'; expected items, a tab and a target.`,
        );
      }
      prefixes.add(
        tokens.map((token) => items.add(token)),
        items.add(target.trim()),
      );
    }
  } catch (cause) {
    if (cause instanceof EngineError) throw cause;
    throw new EngineError('FILE_UNREADABLE', `File '${path}' cannot be read: ${(cause as Error).message}.`, { cause });
  }
  return prefixes;
}

export class PrefixTargets {
  private items = new Int32Array(1 << 16);
  private length = 0;
  private readonly ends: number[] = [];
  private readonly targets: number[] = [];

  add(prefix: readonly number[], target: number): void {
    this.items = grown(this.items, this.length + prefix.length);
    this.items.set(prefix, this.length);
    this.length += prefix.length;
    this.ends.push(this.length);
    this.targets.push(target);
  }

  casesFor(train: TrainingSet, protocol: Protocol): CaseList {
    const items = this.items.subarray(0, this.length);
    const histories = {
      items,
      times: Float64Array.from(items, (_, place) => place),
      weights: new Float32Array(items.length).fill(1),
      types: new Uint8Array(items.length),
      hasTimes: false,
      hasWeights: false,
    };
    const cases = new CaseList(histories, caseOptions(train, protocol));
    let from = 0;
    this.ends.forEach((to, index) => {
      cases.add({ user: -1, from, to, relevant: [this.targets[index]!] });
      from = to;
    });
    return cases;
  }
}
