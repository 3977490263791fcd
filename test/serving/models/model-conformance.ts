/**
 * What every model promises, whatever it computes: one suite, run on each algorithm by its own test file.
 *
 * Each check can fail: it compares two ways to the same answer, or an answer with what the contract says of it.
 */
import { describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../../schemas/errors.js';
import { EngineError } from '../../../schemas/errors.js';
import type { Section } from '../../../streams/config.js';
import { ManualClock } from '../../../streams/clock.js';
import { silentLogger } from '../../../streams/logger.js';
import { parseSettings } from '../../../serving/models/fitting.js';
import type { Algorithm, LoadContext, Model, ModelArtefact, ModelQuery } from '../../../serving/models/model.js';
import type { TrainingSet } from '../../../serving/models/training-set.js';
import { fitContext, MemoryCheckpoints } from './fit-context.js';
import { queryOf, smallWorld, trainingSetOf } from './small-world.js';

export interface ConformanceOptions {
  /** Settings that make a fit of the small world take well under a second. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** The world to learn from; `smallWorld()` by default. */
  readonly set?: TrainingSet;
  /** Largest difference between scores that should be the same; 0 by default. */
  readonly tolerance?: number;
  /** Whether a person's own taste must come out on top; not for models that do not personalize. */
  readonly isPersonal?: boolean;
}

const LOAD: LoadContext = { clock: new ManualClock(), logger: silentLogger, threads: 1 };

export function describeModel<S extends Section>(algorithm: Algorithm<S>, options: ConformanceOptions = {}): void {
  const set = options.set ?? smallWorld();
  const settings = parseSettings(algorithm, options.settings);
  const tolerance = options.tolerance ?? 0;
  const fit = (over = {}, learnt = set): Promise<Model> => algorithm.fit(learnt, settings, fitContext(over));
  const artefactOf = (model: Model): ModelArtefact => ({
    algorithm: model.algorithm,
    spaceId: model.spaceId,
    settings,
    itemCount: model.itemCount,
    userCount: model.userCount,
    files: model.save(),
  });
  const allItems = Int32Array.from(set.itemIds.keys());
  const stranger: ModelQuery = { ...queryOf(set, 0), user: -1 };

  describe(`${algorithm.name} as a model`, () => {
    it('knows its algorithm, its space and the sizes of what it learnt', async () => {
      const model = await fit();
      expect(model.algorithm).toBe(algorithm.name);
      expect(model.spaceId).toMatch(new RegExp(`^${algorithm.name}/.+`));
      expect([model.itemCount, model.userCount]).toEqual([set.itemIds.length, set.userIds.length]);
    });

    it('is the same model, byte for byte, for the same data and seed', async () => {
      const [first, second] = [await fit(), await fit()];
      expect(second.save()).toEqual(first.save());
      expect(second.spaceId).toBe(first.spaceId);
    });

    it('answers after loading as it did before saving', async () => {
      const model = await fit();
      const loaded = await algorithm.load(artefactOf(model), LOAD);
      expect(loaded.spaceId).toBe(model.spaceId);
      for (const query of [queryOf(set, 1), stranger]) {
        expectClose(loaded.score(query, allItems), model.score(query, allItems), tolerance);
        expect(loaded.retrieve(query, 5).items).toEqual(model.retrieve(query, 5).items);
      }
    });

    it('refuses bytes that are missing or cut short', async () => {
      const artefact = artefactOf(await fit());
      const names = Object.keys(artefact.files);
      expect(names.length).toBeGreaterThan(0);
      for (const name of names) {
        const files = { ...artefact.files, [name]: artefact.files[name]!.subarray(0, -1) };
        await expectCode(() => algorithm.load({ ...artefact, files }, LOAD), 'MODEL_INVALID');
      }
      await expectCode(() => algorithm.load({ ...artefact, files: {} }, LOAD), 'MODEL_INVALID');
    });

    it('retrieves what it scores highest, best first, and never what is excluded', async () => {
      const model = await fit();
      for (const query of [queryOf(set, 2), stranger]) {
        const excluded = new Set(query.excluded);
        const ranked = model.retrieve(query, 10);
        expect(ranked.items.length).toBeGreaterThan(0);
        expect(ranked.items.length).toBeLessThanOrEqual(10);
        expect([...ranked.items].filter((item) => excluded.has(item))).toEqual([]);
        expect(new Set(ranked.items).size).toBe(ranked.items.length);
        expect([...ranked.scores]).toEqual([...ranked.scores].sort((left, right) => right - left));
      }
    });

    it('scores many queries at once as one by one', async () => {
      const model = await fit();
      const queries = [queryOf(set, 0), queryOf(set, 3), stranger];
      const rows = new Float32Array(queries.length * model.itemCount).fill(NaN);
      await model.scoreAll(queries, rows);
      queries.forEach((query, q) => {
        const row = rows.subarray(q * model.itemCount, (q + 1) * model.itemCount);
        expectClose(row, model.score(query, allItems), Math.max(tolerance, 1e-5));
      });
    });

    it('answers somebody without any history', async () => {
      const model = await fit();
      const nobody: ModelQuery = { user: -1, items: new Int32Array(0) };
      expect(model.score(nobody, allItems).some(Number.isNaN)).toBe(false);
      for (const reason of model.explain(nobody, 0)) expect(reason.strength).toBeLessThanOrEqual(1);
    });

    it('has confidences and reasons between 0 and 1', async () => {
      const model = await fit();
      for (const query of [queryOf(set, 4), stranger]) {
        const { items } = model.retrieve(query, 5);
        for (const value of model.confidence(query, items)) expect(value >= 0 && value <= 1).toBe(true);
        for (const { strength } of model.explain(query, items[0]!)) expect(strength >= 0 && strength <= 1).toBe(true);
      }
    });

    it('says how far it is, up to the whole', async () => {
      const context = fitContext();
      await algorithm.fit(set, settings, context);
      const fractions = context.reports.map((report) => report.fraction);
      expect(fractions.at(-1)).toBe(1);
      expect(fractions).toEqual([...fractions].sort((left, right) => left - right));
    });

    it('stops when it is told to', async () => {
      const context = fitContext();
      context.abort.abort();
      await expectCode(() => algorithm.fit(set, settings, context), 'TRAINING_CANCELLED');
    });

    it('goes on from its last checkpoint to the same bytes', async () => {
      const whole = await fit();
      const crash = new AbortController();
      const checkpoints = new MemoryCheckpoints(() => crash.abort());
      const first = await fit({ checkpoints, signal: crash.signal }).catch((error: unknown) => error);
      if (checkpoints.saves === 0) return expect((first as Model).save()).toEqual(whole.save());
      const resumed = await fit({ checkpoints: Object.assign(new MemoryCheckpoints(), { last: checkpoints.last }) });
      expect(resumed.save()).toEqual(whole.save());
    });

    it('refuses what does not fit into memory, and data with nothing in them', async () => {
      await expectCode(() => fit({ memoryBytesMax: 16 }), 'MODEL_TOO_LARGE');
      await expectCode(() => fit({}, trainingSetOf([[], []], 3)), 'TRAINING_SET_INVALID');
    });

    it.runIf(options.isPersonal ?? true)('puts the own taste of people first', async () => {
      const model = await fit();
      let own = 0;
      for (let user = 0; user < 20; user++)
        own += Number(model.retrieve(queryOf(set, user), 1).items[0]! % 4 === user % 4);
      // By chance it would be 5 of 20.
      expect(own).toBeGreaterThanOrEqual(14);
    });
  });
}

function expectClose(actual: Float32Array, expected: Float32Array, tolerance: number): void {
  expect(actual.length).toBe(expected.length);
  const far = [...actual.keys()].filter(
    (i) => !(Math.abs(actual[i]! - expected[i]!) <= tolerance) && !Object.is(actual[i], expected[i]),
  );
  expect(far.map((i) => [i, actual[i], expected[i]])).toEqual([]);
}

async function expectCode(act: () => Promise<unknown>, code: ErrorCode): Promise<void> {
  const error: unknown = await act().then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error, `expected ${code}`).toBeInstanceOf(EngineError);
  expect((error as EngineError).code).toBe(code);
}
