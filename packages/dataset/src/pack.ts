import { QLoraError } from '@qlorajs/errors';
import type { PackedExample } from './batch.js';
import { IGNORED_LABEL, type TokenizedExample } from './tokenize.js';

/**
 * Indices of the examples that share a row, by best-fit decreasing: the longest first, each into
 * the fullest row that still has room. The same lengths always give the same rows.
 */
function bestFit(lengths: readonly number[], capacity: number): number[][] {
  const order = lengths.map((_, index) => index).sort((a, b) => lengths[b]! - lengths[a]!);
  const rows: number[][] = [];
  /** Rows by the room left in them. */
  const byRoom: number[][] = Array.from({ length: capacity + 1 }, () => []);
  for (const index of order) {
    const length = lengths[index]!;
    let room = length;
    while (room <= capacity && byRoom[room]!.length === 0) room++;
    const row = room <= capacity ? byRoom[room]!.pop()! : rows.push([]) - 1;
    const before = Math.min(room, capacity);
    rows[row]!.push(index);
    byRoom[before - length]!.push(row);
  }
  return rows;
}

function join(documents: readonly TokenizedExample[]): PackedExample {
  const total = documents.reduce((sum, { inputIds }) => sum + inputIds.length, 0);
  const inputIds = new Int32Array(total);
  const labels = new Int32Array(total);
  const positions = new Int32Array(total);
  const firstKeys = new Int32Array(total);
  let start = 0;
  for (const document of documents) {
    const { length } = document.inputIds;
    inputIds.set(document.inputIds, start);
    labels.set(document.labels, start);
    // The last token of the document before must not be asked for the first of this one.
    labels[start] = IGNORED_LABEL;
    for (let index = 0; index < length; index++) positions[start + index] = index;
    firstKeys.fill(start, start, start + length);
    start += length;
  }
  const lines = documents.map(({ line }) => line);
  return { inputIds, labels, positions, firstKeys, lines, line: lines[0]! };
}

/**
 * Puts several short examples into rows of at most `length` tokens (best-fit decreasing packing, as
 * TRL's `bfd`). Each keeps its own positions and attends only to itself, so that training on packed
 * rows gives the gradients of training on the examples one by one. No example is split; each stays
 * whole and appears once.
 *
 * @throws QLoraError `DATASET_PACK` if an example is empty or longer than `length`.
 *
 * @example
 * ```ts
 * import { collate, pack } from '@qlorajs/dataset';
 *
 * const example = (ids: number[], line: number) => ({
 *   inputIds: Int32Array.from(ids),
 *   labels: Int32Array.from(ids),
 *   line,
 * });
 * const rows = pack([example([1, 2], 1), example([3, 4, 5], 2), example([6], 3)], { length: 4 });
 * console.log(rows.map(({ inputIds }) => inputIds.join(' ')).join(' | ')); // 3 4 5 6 | 1 2
 * console.log(collate(rows, { padId: 0 }).firstKeys!.join(' ')); // 0 0 0 3 0 0 2 3
 * ```
 */
export function pack(
  examples: readonly TokenizedExample[],
  options: { readonly length: number },
): PackedExample[] {
  const { length } = options;
  for (const { inputIds, line } of examples) {
    if (inputIds.length > 0 && inputIds.length <= length) continue;
    throw new QLoraError(
      'DATASET_PACK',
      `The example of line ${line} has ${inputIds.length} tokens and a packed row ${length}; raise the length or truncate the examples`,
      { details: { line, tokens: inputIds.length, length } },
    );
  }
  const lengths = examples.map(({ inputIds }) => inputIds.length);
  return bestFit(lengths, length).map((row) => join(row.map((index) => examples[index]!)));
}
