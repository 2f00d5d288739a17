import { IGNORED_LABEL, type TokenizedExample } from './tokenize.js';

/** A stretch of an example's text. */
export interface Segment {
  readonly text: string;
  /** Whether the loss covers it. */
  readonly trained: boolean;
}

/**
 * An example as text with its trained tokens marked, to be shown. The segments join to the decoded
 * example. The first token is never trained, whatever its label: nothing comes before it.
 */
export function markTrained(
  example: Pick<TokenizedExample, 'inputIds' | 'labels'>,
  tokenizer: { decode(ids: Iterable<number>): string },
): Segment[] {
  const { inputIds, labels } = example;
  const segments: Segment[] = [];
  let start = 0;
  for (let end = 1; end <= inputIds.length; end++) {
    const trained = start > 0 && labels[start] !== IGNORED_LABEL;
    if (end < inputIds.length && trained === (labels[end] !== IGNORED_LABEL)) continue;
    segments.push({ text: tokenizer.decode(inputIds.subarray(start, end)), trained });
    start = end;
  }
  return segments;
}
