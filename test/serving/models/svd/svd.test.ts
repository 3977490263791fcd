import { describeModel } from '../model-conformance.js';
import { svd } from '../../../../serving/models/svd/svd.js';

describeModel(svd, { settings: { factors: 6 } });
