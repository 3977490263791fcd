import { autoencoder } from '../../../../serving/models/autoencoder/autoencoder.js';
import { describeModel } from '../model-conformance.js';
import { smallWorld } from '../small-world.js';

describeModel(autoencoder, {
  settings: { dimensions: 8, hidden: 16, epochsMax: 25, batchSize: 50, learningRate: 0.01, dropout: 0.3 },
  set: smallWorld({ users: 200, interactionsPerUser: 6 }),
  tolerance: 1e-4,
});
