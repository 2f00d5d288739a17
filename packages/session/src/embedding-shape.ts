import type { PhiConfig } from '@qlorajs/phi2-model';

/** The token table of a base, as adapters that train rows of it need to know it. */
export function embeddingShape(config: PhiConfig) {
  return { vocabSize: config.vocabSize, hiddenSize: config.hiddenSize, tied: false };
}
