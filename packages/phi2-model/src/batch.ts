import { QLoraError } from '@qlorajs/errors';
import type { PhiConfig } from './config.js';

/** Token rows to run: what `@qlorajs/dataset` collates and packs, structurally. */
export interface TokenBatch {
  /** `[B, T]`, right-padded. */
  readonly inputIds: Int32Array;
  /** `[B]`: real tokens a row. */
  readonly lengths: Int32Array;
  readonly batchSize: number;
  /** T */
  readonly length: number;
  /** `[B, T]`: positions inside the token's own document, with packing. */
  readonly positions?: Int32Array;
  /** `[B, T]`: index of the first token of the token's own document, with packing. */
  readonly firstKeys?: Int32Array;
}

/** Token rows to learn from. */
export interface LabelledBatch extends TokenBatch {
  /** `[B, T]`, not shifted: -100 is not trained. */
  readonly labels: Int32Array;
}

/**
 * The rows of hidden states that carry a loss, and what each must predict: position t predicts
 * label t + 1 of its own row and document (Hugging Face's shift).
 */
export function trainedPositions(batch: LabelledBatch): { rows: Int32Array; labels: Int32Array } {
  const { batchSize, length, lengths, firstKeys } = batch;
  const rows: number[] = [];
  const labels: number[] = [];
  for (let b = 0; b < batchSize; b++)
    for (let t = 0; t + 1 < lengths[b]; t++) {
      const next = b * length + t + 1;
      if (batch.labels[next] < 0 || (firstKeys && firstKeys[next] === t + 1)) continue;
      rows.push(next - 1);
      labels.push(batch.labels[next]);
    }
  return { rows: Int32Array.from(rows), labels: Int32Array.from(labels) };
}

/** Row positions 0, 1, … where the batch brings none. */
export function positionsOf(batch: TokenBatch): Int32Array {
  if (batch.positions) return batch.positions;
  return Int32Array.from({ length: batch.batchSize * batch.length }, (_, i) => i % batch.length);
}

/** @throws QLoraError `PHI_INPUT` for ids outside the vocabulary or rows longer than the context. */
export function checkBatch(config: PhiConfig, batch: TokenBatch): void {
  const bad = batch.inputIds.findIndex((id) => id < 0 || id >= config.vocabSize);
  if (bad >= 0)
    throw new QLoraError(
      'PHI_INPUT',
      `token id ${batch.inputIds[bad]} at row ${Math.floor(bad / batch.length)}, position ${bad % batch.length} is outside 0..${config.vocabSize - 1}; tokenize with the model's own tokenizer`,
      { details: { id: batch.inputIds[bad], vocabSize: config.vocabSize } },
    );
  if (batch.length > config.maxPositions && !batch.positions)
    throw new QLoraError(
      'PHI_INPUT',
      `${batch.length} tokens do not fit the context of ${config.maxPositions}; shorten the text or lower max_seq_length`,
      { details: { length: batch.length, maxPositions: config.maxPositions } },
    );
}
