import { describeModel } from '../model-conformance.js';
import { ials } from '../../../../serving/models/ials/ials.js';

describeModel(ials, { settings: { factors: 4 }, tolerance: 1e-6 });
