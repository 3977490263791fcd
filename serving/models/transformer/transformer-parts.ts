/** The sizes and the parameters of a transformer, as training and single steps both read them. */
import type { Dense, LayerNorm } from '../sequential/layers.js';
import type { Parameter, Parameters } from '../sequential/parameters.js';

export interface TransformerShape {
  readonly length: number;
  readonly dimensions: number;
  readonly heads: number;
  readonly layers: number;
  readonly feedForward: number;
  readonly dropout: number;
}

export interface TransformerLayer {
  readonly attentionNorm: LayerNorm;
  readonly projection: Dense;
  readonly output: Dense;
  readonly forwardNorm: LayerNorm;
  readonly widen: Dense;
  readonly narrow: Dense;
}

export interface TransformerParts {
  readonly parameters: Parameters;
  readonly shape: TransformerShape;
  readonly positions: Parameter;
  readonly layers: readonly TransformerLayer[];
  readonly lastNorm: LayerNorm;
}
