/** Settings of the content family: encoders, metric, weights of the modalities, and how a history becomes a profile. */
import { defineSection, setting } from '../../../streams/config.js';
import type { SectionValues } from '../../../streams/config.js';

const weight = (value: number, what: string) =>
  setting.number({
    default: value,
    min: 0,
    max: 1,
    description: `Weight of ${what} in the score; 0 leaves it out, and does not encode it.`,
  });

export const contentSettings = defineSection(
  'content',
  {
    textEncoder: setting.text({
      default: 'lsa',
      description:
        'lsa (built in), or the path of a folder with a sentence transformer: tokenizer.json and model.onnx.',
    }),
    textDimensions: setting.integer({
      default: 768,
      min: 2,
      max: 2_048,
      description: 'Dimensions of lsa; fewer where the catalogue is small. More cost memory and time by item.',
    }),
    textFeatures: setting.integer({
      default: 20_000,
      min: 100,
      max: 200_000,
      description: 'Words and subwords lsa keeps; each costs textDimensions floats.',
    }),
    textTokens: setting.integer({
      default: 512,
      min: 8,
      max: 8_192,
      unit: 'tokens',
      description: 'Tokens of a text that are read, from its beginning.',
    }),
    imageEncoder: setting.text({
      default: 'descriptors',
      description:
        'descriptors (built in), or the path of a folder with model.onnx and its preprocessing in encoder.json.',
    }),
    categoryDimensions: setting.integer({
      default: 32,
      min: 2,
      max: 256,
      description: 'Dimensions of category vectors, learnt from which labels items have together.',
    }),
    categorySimilarity: setting.choice(['jaccard', 'vector'], {
      default: 'jaccard',
      description:
        'jaccard: shared labels of all labels; vector: cosine of the learnt vectors, also between related labels.',
    }),
    metric: setting.choice(['cosine', 'euclidean', 'manhattan'], {
      default: 'cosine',
      description: 'How vectors are compared; each is brought to 0 to 1.',
    }),
    textWeight: weight(0.4, 'text'),
    imageWeight: weight(0.3, 'pictures'),
    categoricalWeight: weight(0.2, 'categories, brand and tags'),
    numericalWeight: weight(0.1, 'numbers such as the price'),
    threshold: setting.number({
      default: 0.6,
      min: 0,
      max: 1,
      description: 'Least score of a candidate.',
    }),
    candidatesMax: setting.integer({
      default: 500,
      min: 1,
      max: 100_000,
      unit: 'items',
      description: 'Candidates of one question at most.',
    }),
    profile: setting.choice(['average', 'weighted_average', 'decay'], {
      default: 'weighted_average',
      description:
        'average: all of the history alike. weighted_average: by type of event and age. decay: each earlier one counts `decay` times the next.',
    }),
    halfLifeDays: setting.number({
      default: 90,
      min: 0,
      max: 36_500,
      unit: 'days',
      description:
        'weighted_average: age, before the latest, at which an interaction counts half; 0: age does not matter.',
    }),
    decay: setting.number({
      default: 0.9,
      min: 0.01,
      max: 1,
      description: 'decay: factor from an interaction to the one before.',
    }),
    interactionsMin: setting.integer({
      default: 3,
      min: 0,
      max: 1_000,
      description: 'Histories shorter than this get popular content.',
    }),
  },
  {
    description: 'Items like those a person liked, by what they are: text, picture, categories, numbers.',
    check: (values) =>
      values.textWeight + values.imageWeight + values.categoricalWeight + values.numericalWeight > 0
        ? []
        : [{ path: 'textWeight', value: 0, expected: 'at least one weight above 0' }],
  },
);

export type ContentSettings = SectionValues<typeof contentSettings>;
