import {
  datasetStatistics,
  formatRowError,
  markTrained,
  type RowError,
  readJsonl,
  type TokenizedDataset,
  tokenizeRows,
} from '@qlorajs/dataset';
import { QLoraError } from '@qlorajs/errors';
import {
  chooseChatFormat,
  formatCount,
  integer,
  maxSeqLength,
  option,
  optional,
  readTokenizer,
  text,
  trainingOptions,
} from '@qlorajs/session';
import { openBase } from '../io/base-folder.js';
import { readBytes } from '../io/read.js';
import { paint, type Ui } from '../report/ui.js';
import { templateChoice } from '../training/data.js';
import { listed } from '../training/examples.js';
import { verb } from './verb.js';

const { chat_template, max_seq_length, train_on } = trainingOptions;

/** What a base without a tokenizer shows: the ids. */
const IDS = { decode: (ids: Iterable<number>) => ` ${[...ids].join(' ')} ` };

/** An example with its trained tokens in green on a terminal, in brackets elsewhere. */
function showExample(
  dataset: TokenizedDataset,
  number: number,
  tokenizer: { decode(ids: Iterable<number>): string },
  ui: Ui,
) {
  const example = dataset.examples[number - 1];
  if (example === undefined)
    throw new QLoraError(
      'OPTION_VALUE',
      `--show ${number}: there are ${dataset.examples.length} examples`,
    );
  const mark = (piece: string) =>
    process.stdout.isTTY ? paint(['green', 'bold'], piece, process.stdout) : `[[${piece}]]`;
  const segments = markTrained(example, tokenizer);
  const marked = segments.map((each) => (each.trained ? mark(each.text) : each.text)).join('');
  ui.print(`\nexample ${number} (line ${example.line}), trained tokens marked:\n${marked}\n`);
  return {
    line: example.line,
    input_ids: [...example.inputIds],
    labels: [...example.labels],
    segments,
  };
}

function printStatistics(
  statistics: ReturnType<typeof datasetStatistics>,
  limit: number,
  tooLongLines: readonly number[],
  ui: Ui,
): void {
  const { lengths, formats, roles } = statistics;
  const counts = (record: object) =>
    Object.entries(record)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ');
  ui.print(`rows      ${formatCount(statistics.rows)} (${counts(formats)})\n`);
  if (Object.keys(roles).length > 0) ui.print(`turns     ${counts(roles)}\n`);
  ui.print(
    `tokens    ${formatCount(statistics.tokens)}, ${(100 * statistics.trainedShare).toFixed(1)} % of them trained\n`,
  );
  if (lengths !== null)
    ui.print(
      `length    ${lengths.min} to ${lengths.max}, mean ${lengths.mean.toFixed(1)}, half up to ${lengths.p50}, 95 % up to ${lengths.p95}\n`,
    );
  ui.print(
    `too long  ${statistics.tooLong} rows, ${(100 * statistics.tooLongShare).toFixed(1)} %, over max_seq_length ${limit}${tooLongLines.length > 0 ? ` (lines ${listed(tooLongLines)})` : ''}\n`,
  );
}

export const dataCheck = verb({
  name: 'data check',
  summary: 'validate a dataset: every bad row, token statistics, what is trained',
  argument: { name: 'file', describe: 'JSONL' },
  options: {
    base: option(text('DIR|ID|phi-nano'), 'phi-nano', 'whose tokenizer and context count'),
    chat_template,
    max_seq_length,
    train_on,
    show: optional(integer(1), 'print this example with its trained tokens marked'),
  },
  async run(options, ui, file) {
    const base = await openBase(options.base, { ui, weights: false });
    const limit = maxSeqLength(options.maxSeqLength, base);
    const { rows, errors: unreadable } = readJsonl(await readBytes(file), { file });
    const own = await readTokenizer(base.source);
    const format =
      own &&
      chooseChatFormat(own, await templateChoice(options.chatTemplate), base.config.vocabSize);
    const dataset = tokenizeRows(rows, {
      file,
      tokenizer: format?.tokenizer ?? null,
      template: format?.template ?? null,
      trainOn: options.trainOn,
      maxSeqLength: limit,
      truncation: 'truncate', // too long is counted, not an error
      vocabSize: base.config.vocabSize,
    });
    const errors: RowError[] = [...unreadable, ...dataset.errors].sort((a, b) => a.line - b.line);
    for (const error of errors) process.stderr.write(`${formatRowError(error)} [${error.code}]\n`);
    const statistics = datasetStatistics(rows, dataset, { maxSeqLength: limit });
    const tooLongLines = [...dataset.truncated, ...dataset.dropped].sort((a, b) => a - b);
    printStatistics(statistics, limit, tooLongLines, ui);
    const shown =
      options.show !== undefined
        ? showExample(dataset, options.show, format?.tokenizer ?? IDS, ui)
        : undefined;
    ui.print(errors.length === 0 ? 'ok\n' : `${errors.length} bad rows (on stderr)\n`);
    ui.result({
      file,
      base: base.name,
      ok: errors.length === 0,
      errors,
      max_seq_length: limit,
      ...statistics,
      tooLongLines,
      example: shown,
    });
    return errors.length === 0 ? 0 : 2;
  },
});
