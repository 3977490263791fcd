import { describeModel } from '../model-conformance.js';
import { nmf } from '../../../../serving/models/nmf/nmf.js';

describeModel(nmf, { settings: { factors: 6, regularization: 0.5 } });
