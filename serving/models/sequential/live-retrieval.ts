/**
 * The k best next items for people whose states are kept: a new event costs one position of the network.
 *
 * Answers as `SequenceModel.retrieve` does for the same history, as long as the history is not longer than the window;
 * beyond it the state stands on the newest items (live-states.ts). Histories too short for the network are the model's to
 * answer.
 */
import { topOf } from '../fitting.js';
import type { LiveRetrieval, LiveUsage, Model, ModelQuery, RankedItems } from '../model.js';
import { LiveStates } from './live-states.js';
import type { EncoderScorer } from './scorer.js';

export class SequenceLiveRetrieval implements LiveRetrieval {
  private readonly states: LiveStates;
  private readonly scores: Float32Array;

  constructor(
    private readonly model: Pick<Model, 'retrieve'>,
    private readonly scorer: EncoderScorer,
    private readonly options: { readonly bytesMax: number; readonly shortSequence: number },
  ) {
    const { encoder } = scorer;
    this.states = new LiveStates(encoder.createSteps(), {
      length: encoder.length,
      dimensions: encoder.parameters.dimensions,
      bytesMax: options.bytesMax,
    });
    this.scores = new Float32Array(scorer.itemCount);
  }

  retrieve(person: string, query: ModelQuery, k: number): RankedItems {
    if (query.items.length < Math.max(1, this.options.shortSequence)) return this.model.retrieve(query, k);
    this.scorer.scoreHidden(this.states.advance(person, query.items), this.scores);
    return topOf(this.scores, k, query.excluded);
  }

  usage(): LiveUsage {
    return this.states.usage();
  }
}
