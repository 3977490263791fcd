import { describe, expect, it } from 'vitest';
import { CandidateGenerator, CANDIDATE_LIMITS } from '../../../../serving/models/candidates/candidate-generator.js';
import {
  candidateFiles,
  ITEMS_PER_PERSON,
  learnCandidates,
  readCandidates,
} from '../../../../serving/models/candidates/candidate-parts.js';
import { ease } from '../../../../serving/models/ease/ease.js';
import { parseSettings } from '../../../../serving/models/fitting.js';
import type { ModelArtefact } from '../../../../serving/models/model.js';
import { neuralCf } from '../../../../serving/models/neural-cf/neural-cf.js';
import { svd } from '../../../../serving/models/svd/svd.js';
import type { TrainingSet } from '../../../../serving/models/training-set.js';
import { seededRandom } from '../../../../streams/random.js';
import { fitContext } from '../fit-context.js';
import { queryOf, smallWorld, trainingSetOf } from '../small-world.js';

function withCategories(world: TrainingSet): TrainingSet {
  const none = world.itemIds.map(() => '');
  return {
    ...world,
    itemContent: {
      titles: none,
      texts: none,
      categories: world.itemIds.map((_, item) => [`taste-${item % 4}`]),
      brands: none,
      tags: world.itemIds.map(() => []),
      numbers: {},
    },
  };
}

const set = withCategories(smallWorld());
let turns = 0;
const nextTurn = (): Promise<void> => Promise.resolve(void turns++);
const learning = { random: seededRandom('candidates'), nextTurn };
const model = await svd.fit(set, parseSettings(svd, { factors: 6 }), fitContext());
const parts = await learnCandidates(set, model, learning);
const generatorOf = (limits = {}): Promise<CandidateGenerator> =>
  CandidateGenerator.build(parts, model, { nextTurn, limits });

describe('candidates', () => {
  it('come from similar people, similar items and own categories, each once and none that was met', async () => {
    const generator = await generatorOf();
    const query = queryOf(set, 3);
    const found = generator.candidates(query);
    const met = new Set(query.items);
    expect(found.length).toBeGreaterThan(5);
    expect(new Set(found.map(({ item }) => item)).size).toBe(found.length);
    expect(found.filter(({ item }) => met.has(item))).toEqual([]);
    const sources = new Set(found.flatMap((candidate) => candidate.sources));
    expect([...sources].sort()).toEqual(['popular-in-category', 'similar-items', 'similar-users']);
    // What people of the same taste have left unmet is the person's own taste first.
    const own = found.slice(0, 4).filter(({ item }) => item % 4 === 3);
    expect(own.length).toBeGreaterThanOrEqual(2);
  });

  it('are the nearest people and items that a plain search over all vectors finds', async () => {
    const generator = await generatorOf({ similarUsers: 1, popularPerCategory: 0, lastItems: 1, similarItems: 2 });
    const query = queryOf(set, 3);
    const cosine = (left: Float32Array, right: Float32Array): number => {
      const dot = (a: Float32Array, b: Float32Array): number => a.reduce((sum, x, d) => sum + x * b[d]!, 0);
      return dot(left, right) / Math.sqrt(dot(left, left) * dot(right, right));
    };
    const best = (scored: (readonly [number, number])[], k: number): number[] =>
      scored
        .sort((left, right) => right[1] - left[1])
        .slice(0, k)
        .map(([key]) => key);
    const rowOf = (user: number): Int32Array => set.items.subarray(set.rowStart[user], set.rowStart[user + 1]);
    const person = (user: number): Float32Array => model.foldInUser({ user, items: rowOf(user) })!;
    const isNew = (item: number): boolean => !query.items.includes(item);
    const others = [...set.userIds.keys()].filter((user) => rowOf(user).some(isNew));
    const [closest] = best(
      others.map((user) => [user, cosine(person(3), person(user))] as const),
      1,
    );
    const { values, dimensions } = model.itemVectors()!;
    const vector = (item: number): Float32Array => values.subarray(item * dimensions, (item + 1) * dimensions);
    const last = query.items.at(-1)!;
    const rest = [...set.itemIds.keys()].filter((item) => item !== last);
    const alike = best(
      rest.map((item) => [item, cosine(vector(last), vector(item))] as const),
      2,
    );
    const expected = new Set([...rowOf(closest!), ...alike].filter(isNew));
    const found = generator.candidates(query).map(({ item }) => item);
    expect(found.sort()).toEqual([...expected].sort());
  });

  it('stay within their limits', async () => {
    expect(CANDIDATE_LIMITS).toMatchObject({
      ...{ similarUsers: 50, itemsPerUser: 20, similarityMin: 0.1, lastItems: 10 },
      ...{ similarItems: 20, popularPerCategory: 30, total: 1000 },
    });
    expect((await generatorOf({ total: 7 })).candidates(queryOf(set, 3))).toHaveLength(7);
    const excluded = Int32Array.from(set.itemIds.keys());
    expect((await generatorOf()).candidates({ ...queryOf(set, 3), excluded })).toEqual([]);
  });

  it('of a model without vectors are popular ones of the own categories', async () => {
    const linear = await ease.fit(set, parseSettings(ease, {}), fitContext());
    const popular = await learnCandidates(set, linear, learning);
    const generator = await CandidateGenerator.build(popular, linear, { nextTurn });
    const found = generator.candidates({ user: -1, items: Int32Array.of(1) });
    expect(found.map(({ sources }) => sources)).toEqual(found.map(() => ['popular-in-category']));
    expect(found.every(({ item }) => item % 4 === 1)).toBe(true);
    const counts = found.map(({ item }) => set.items.filter((other) => other === item).length);
    expect(counts).toEqual(counts.toSorted((left, right) => right - left));
  });

  it('of neural_cf come from its embeddings', async () => {
    const settings = parseSettings(neuralCf, { embedding: 8, layers: [16, 8], epochs: 2, batch: 120 });
    const neural = await neuralCf.fit(set, settings, fitContext());
    const learnt = await learnCandidates(set, neural, learning);
    expect(learnt.dimensions).toBe(16);
    const generator = await CandidateGenerator.build(learnt, neural, { nextTurn });
    const found = generator.candidates({ ...queryOf(set, 3), user: -1 });
    expect(new Set(found.flatMap(({ sources }) => sources)).size).toBe(3);
  });
});

describe('what candidates are generated from', () => {
  const artefactOf = (files: ModelArtefact['files']): ModelArtefact => ({
    ...{ algorithm: 'svd', spaceId: model.spaceId, settings: {}, itemCount: model.itemCount, userCount: 0 },
    files,
  });
  const sizes = { people: parts.met.start.length - 1, dimensions: parts.dimensions };

  it('generates the same after it was kept as files, and refuses files that are cut short or name what is not there', async () => {
    const files = candidateFiles(parts);
    const read = readCandidates(artefactOf(files), sizes);
    const again = await CandidateGenerator.build(read, model, { nextTurn });
    for (const user of [0, 7]) {
      expect(again.candidates(queryOf(set, user))).toEqual((await generatorOf()).candidates(queryOf(set, user)));
    }
    for (const name of Object.keys(files)) {
      const cut = { ...files, [name]: files[name]!.subarray(0, -4) };
      expect(() => readCandidates(artefactOf(cut), sizes), name).toThrow(/bytes, expected/);
    }
    const beyond = { ...parts, met: { ...parts.met, values: parts.met.values.map(() => set.itemIds.length) } };
    expect(() => readCandidates(artefactOf(candidateFiles(beyond)), sizes)).toThrow(/names what is not there/);
  });

  it('is bounded in people and in items of each, the last ones, and says nothing of who they are', async () => {
    const world = smallWorld({ users: 30, items: 200, tastes: 2, interactionsPerUser: 60 });
    const few = await learnCandidates(world, await svd.fit(world, parseSettings(svd, {}), fitContext()), {
      ...learning,
      peopleMax: 5,
    });
    expect(few.people.length).toBe(5 * few.dimensions);
    const rows = Array.from({ length: 5 }, (_, p) => [
      ...few.met.values.subarray(few.met.start[p], few.met.start[p + 1]),
    ]);
    const lastOf = (user: number): number[] => [
      ...world.items.subarray(world.rowStart[user + 1]! - ITEMS_PER_PERSON, world.rowStart[user + 1]),
    ];
    const owners = rows.map((row) => world.userIds.findIndex((_, user) => String(lastOf(user)) === String(row)));
    expect(new Set(owners).size).toBe(5);
    expect(owners).not.toContain(-1);
    // In no order of the training set: rows cannot be told apart by place.
    expect(owners).not.toEqual(owners.toSorted((left, right) => left - right));
    expect(Object.keys(candidateFiles(few)).filter((name) => !/^candidate-[a-z-]+\.(i32|f32)$/.test(name))).toEqual([]);
  });

  it('is put into an index in turns', async () => {
    const before = turns;
    await generatorOf();
    expect(turns - before).toBe(Math.floor(sizes.people / 16));
    const nobody = await learnCandidates(trainingSetOf([[], [1]], 3), model, { ...learning, peopleMax: 0 });
    const empty = await CandidateGenerator.build(nobody, model, { nextTurn });
    expect(empty.candidates({ user: -1, items: new Int32Array(0) })).toEqual([]);
  });
});
