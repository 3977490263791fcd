import { describeModel } from '../model-conformance.js';
import { ease } from '../../../../serving/models/ease/ease.js';

describeModel(ease, { settings: { regularization: 10 } });
