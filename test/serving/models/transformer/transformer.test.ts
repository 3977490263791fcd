import { transformer } from '../../../../serving/models/transformer/transformer.js';
import { describeModel } from '../model-conformance.js';
import { smallWorld } from '../small-world.js';

describeModel(transformer, {
  settings: {
    dimensions: 16,
    layers: 1,
    heads: 1,
    feedForward: 32,
    epochsMax: 8,
    batchSize: 32,
    learningRate: 0.01,
    dropout: 0.1,
  },
  // A sequence is learnt from many people, not from one: fewer would be learnt by heart.
  set: smallWorld({ users: 400, interactionsPerUser: 6 }),
  tolerance: 1e-4,
});
