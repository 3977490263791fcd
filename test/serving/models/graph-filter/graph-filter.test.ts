import { describeModel } from '../model-conformance.js';
import { graphFilter } from '../../../../serving/models/graph-filter/graph-filter.js';

describeModel(graphFilter, { settings: { rank: 8, rankShare: 1 } });
