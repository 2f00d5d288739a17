import { QLoraError } from '@qlorajs/errors';
import { IGNORED_LABEL, type TokenizedExample } from './tokenize.js';

/** Several documents in one row (see `pack`). */
export interface PackedExample extends TokenizedExample {
  /** Position of each token in its own document. */
  readonly positions: Int32Array;
  /** Index in this row of the first token of each token's own document: attention starts there. */
  readonly firstKeys: Int32Array;
  /** Lines of the documents, in order. */
  readonly lines: readonly number[];
}

/** Rows of one length, right-padded, row-major. */
export interface Batch {
  /** [B, T] */
  readonly inputIds: Int32Array;
  /** [B, T], not shifted; -100 = not trained, also at padding. */
  readonly labels: Int32Array;
  /** [B]: tokens of each row, the rest is padding. */
  readonly lengths: Int32Array;
  readonly batchSize: number;
  /** T */
  readonly length: number;
  /** [B, T], only with packing; 0 at padding. */
  readonly positions?: Int32Array;
  /** [B, T], only with packing; at padding the token's own index, so that it sees only itself. */
  readonly firstKeys?: Int32Array;
  /** Labels at positions 1..T-1 that are not -100: what the loss of the batch is divided by. */
  readonly trainedTokens: number;
  /** [B]: lines of the documents in each row. */
  readonly lines: readonly (readonly number[])[];
}

/** Options of {@link collate}. */
export interface CollateOptions {
  /** Any valid id: padding is masked by position. */
  readonly padId: number;
  /** Rounds T up to a multiple of this. Default 1. */
  readonly multipleOf?: number;
}

function isPacked(example: TokenizedExample | PackedExample): example is PackedExample {
  return 'firstKeys' in example;
}

/**
 * Pads examples on the right to the length of the longest. Packed examples keep their positions
 * and first keys; if only some are packed, the others count as one document each.
 *
 * @throws QLoraError `DATASET_BATCH` for no examples.
 */
export function collate(
  examples: readonly (TokenizedExample | PackedExample)[],
  options: CollateOptions,
): Batch {
  const { padId, multipleOf = 1 } = options;
  const batchSize = examples.length;
  const longest = Math.max(0, ...examples.map(({ inputIds }) => inputIds.length));
  if (longest === 0) {
    throw new QLoraError('DATASET_BATCH', 'A batch needs at least one example; pass some');
  }
  const length = Math.ceil(longest / multipleOf) * multipleOf;
  const inputIds = new Int32Array(batchSize * length).fill(padId);
  const labels = new Int32Array(batchSize * length).fill(IGNORED_LABEL);
  const positions = new Int32Array(batchSize * length);
  const firstKeys = Int32Array.from({ length: batchSize * length }, (_, index) => index % length);
  let trainedTokens = 0;
  for (const [row, example] of examples.entries()) {
    const start = row * length;
    const count = example.inputIds.length;
    inputIds.set(example.inputIds, start);
    labels.set(example.labels, start);
    if (isPacked(example)) {
      positions.set(example.positions, start);
      firstKeys.set(example.firstKeys, start);
    } else {
      for (let index = 0; index < count; index++) positions[start + index] = index;
      firstKeys.fill(0, start, start + count);
    }
    for (let index = 1; index < count; index++) {
      if (example.labels[index] !== IGNORED_LABEL) trainedTokens++;
    }
  }
  return {
    inputIds,
    labels,
    lengths: Int32Array.from(examples, (example) => example.inputIds.length),
    batchSize,
    length,
    ...(examples.some(isPacked) && { positions, firstKeys }),
    trainedTokens,
    lines: examples.map((example) => (isPacked(example) ? example.lines : [example.line])),
  };
}
