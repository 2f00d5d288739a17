import { collate, IGNORED_LABEL, type TokenizedExample, tokenizeRow } from '@qlorajs/dataset';
import type { BatchLoss, PhiModel } from '@qlorajs/phi2-model';
import type { ChatFormat } from '@qlorajs/session';
import type { Ui } from '../report/ui.js';
import { badRows } from '../training/examples.js';
import type { EvalRow } from './rows.js';

const NOTHING: BatchLoss = { lossSum: 0, tokens: 0 };

/** A text was cut somewhere: that it ends there is nothing to predict. */
function withoutEnd(example: TokenizedExample): TokenizedExample {
  const labels = example.labels.slice();
  labels[labels.length - 1] = IGNORED_LABEL;
  return { ...example, labels };
}

/**
 * The loss of every row by itself, without dropout: over the answers of chats and completions, over
 * all of a text but its end. A row is cut at the model's context; one whose answers all lie beyond
 * it has no tokens.
 */
export async function rowLosses(
  model: PhiModel,
  format: ChatFormat,
  rows: readonly EvalRow[],
  context: { readonly file: string; readonly ui: Ui; readonly onRow: () => Promise<void> },
): Promise<BatchLoss[]> {
  const { file, ui, onRow } = context;
  const results = rows.map(({ row }) =>
    tokenizeRow(row, {
      ...{ file, tokenizer: format.tokenizer, template: format.template },
      trainOn: 'assistant',
      maxSeqLength: model.config.maxPositions,
      truncation: 'truncate',
      vocabSize: model.config.vocabSize,
    }),
  );
  const errors = results.flatMap((each) => (each.kind === 'error' ? [each.error] : []));
  if (errors.length > 0) throw badRows(file, errors, ui);
  const losses: BatchLoss[] = [];
  for (const [i, result] of results.entries()) {
    if (result.kind === 'example') {
      const isText = rows[i].row.kind === 'text';
      const example = isText && !result.truncated ? withoutEnd(result.example) : result.example;
      losses.push(await model.evaluate(collate([example], { padId: 0 })));
    } else losses.push(NOTHING);
    await onRow();
  }
  return losses;
}
