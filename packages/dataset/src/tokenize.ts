import { isQLoraError, QLoraError } from '@qlorajs/errors';
import type { ChatRow, Fault, Row, RowError, TokensRow } from './row.js';

/** Labels of tokens that the loss leaves out. */
export const IGNORED_LABEL = -100;

/** What is needed of a tokenizer (`@qlorajs/tokenizer` fits). */
export interface RowTokenizer {
  encode(text: string): {
    readonly ids: readonly number[];
    /** UTF-16. */
    readonly offsets: readonly (readonly [start: number, end: number])[];
  };
  readonly bosToken: string | null;
  readonly eosToken: string | null;
  readonly eosId: number | null;
}

/** What is needed of a chat template (`@qlorajs/chat-template` fits). */
export interface RowTemplate {
  readonly hasGenerationTags: boolean;
  render(
    messages: readonly { readonly role: string; readonly content: string }[],
    options: { readonly variables: Readonly<Record<string, unknown>> },
  ): {
    readonly text: string;
    readonly spans: readonly { readonly start: number; readonly end: number }[];
  };
}

/** A row as tokens. */
export interface TokenizedExample {
  readonly inputIds: Int32Array;
  /** As long as `inputIds`, not shifted; -100 = not trained. */
  readonly labels: Int32Array;
  /** 1-based, of the row. */
  readonly line: number;
}

/** Options of {@link tokenizeRow}. */
export interface TokenizeOptions {
  /** Name for errors. */
  readonly file: string;
  /** Null if the base has none: only pre-tokenized rows work then. */
  readonly tokenizer: RowTokenizer | null;
  /** Null if there is none: chats do not work then. */
  readonly template: RowTemplate | null;
  /**
   * `assistant` trains what the template marks as the assistant's, or the completion; `all` every
   * token. Pre-tokenized rows keep their own labels.
   */
  readonly trainOn: 'assistant' | 'all';
  /** In tokens. `Infinity` for no limit. */
  readonly maxSeqLength: number;
  /** What happens to a longer row: an error, left out, or cut at the end. */
  readonly truncation: 'error' | 'drop' | 'truncate';
  /** Rows of the model's embedding, to check pre-tokenized ids against. */
  readonly vocabSize?: number;
}

/** What became of a row. `length` and `trained` are those before any cut. */
export type TokenizedRow =
  | {
      readonly kind: 'example';
      readonly example: TokenizedExample;
      readonly length: number;
      readonly trained: number;
      readonly truncated: boolean;
    }
  | { readonly kind: 'dropped'; readonly length: number; readonly trained: number }
  | {
      readonly kind: 'error';
      readonly error: RowError;
      /** Missing if the row did not become tokens at all. */
      readonly length?: number;
      readonly trained?: number;
    };

interface Encoded {
  readonly ids: ArrayLike<number>;
  readonly labels: Int32Array;
}

/** How many tokens a row trains: the first one has nothing before it to be predicted from. */
export function countTrained(labels: ArrayLike<number>): number {
  let count = 0;
  for (let index = 1; index < labels.length; index++) if (labels[index] !== IGNORED_LABEL) count++;
  return count;
}

function needTokenizer(options: TokenizeOptions): RowTokenizer {
  if (options.tokenizer !== null) return options.tokenizer;
  throw new QLoraError(
    'DATASET_TOKENIZER',
    `${options.file} has text, and the base model's folder has no tokenizer; add tokenizer.json, or write the rows as input_ids and labels`,
    { details: { file: options.file } },
  );
}

function needTemplate(options: TokenizeOptions): RowTemplate {
  const { template, file, trainOn } = options;
  if (template === null) {
    throw new QLoraError(
      'DATASET_TEMPLATE_MISSING',
      `${file} has chats, and there is no chat template; pass one`,
      { details: { file } },
    );
  }
  if (trainOn === 'assistant' && !template.hasGenerationTags) {
    throw new QLoraError(
      'DATASET_GENERATION_TAGS',
      'The chat template does not say what the assistant wrote: train_on assistant needs {% generation %} … {% endgeneration %} around it; add the tags, or set train_on to all',
      { details: { file } },
    );
  }
  return template;
}

/** A token is trained if it starts inside a span. Spans and tokens are in the order of the text. */
function labelsFromSpans(
  ids: readonly number[],
  offsets: readonly (readonly [number, number])[],
  spans: readonly { readonly start: number; readonly end: number }[],
): Int32Array {
  const labels = new Int32Array(ids.length).fill(IGNORED_LABEL);
  let span = 0;
  for (const [index, [start]] of offsets.entries()) {
    while (span < spans.length && spans[span]!.end <= start) span++;
    if (span === spans.length) break;
    if (start >= spans[span]!.start) labels[index] = ids[index]!;
  }
  return labels;
}

function encodeChat(row: ChatRow, options: TokenizeOptions): Encoded {
  const tokenizer = needTokenizer(options);
  const { bosToken, eosToken } = tokenizer;
  const { text, spans } = needTemplate(options).render(row.messages, {
    variables: {
      ...(bosToken !== null && { bos_token: bosToken }),
      ...(eosToken !== null && { eos_token: eosToken }),
    },
  });
  const { ids, offsets } = tokenizer.encode(text);
  const all = options.trainOn === 'all';
  return { ids, labels: all ? Int32Array.from(ids) : labelsFromSpans(ids, offsets, spans) };
}

/** One text, tokenized once, trained from `start` on; eos is added unless it is there. */
function encodeText(text: string, start: number, options: TokenizeOptions): Encoded {
  const tokenizer = needTokenizer(options);
  const { eosId } = tokenizer;
  const { ids, offsets } = tokenizer.encode(text);
  const span = { start: options.trainOn === 'all' ? 0 : start, end: text.length };
  const labels = labelsFromSpans(ids, offsets, [span]);
  if (eosId === null || ids.at(-1) === eosId) return { ids, labels };
  return { ids: [...ids, eosId], labels: Int32Array.from([...labels, eosId]) };
}

function encodeTokens(row: TokensRow, options: TokenizeOptions): Encoded | Fault {
  const { inputIds, labels } = row;
  const { vocabSize = 2 ** 31 } = options;
  for (const [name, values] of Object.entries({ input_ids: inputIds, labels })) {
    const index = values.findIndex((id) => id >= vocabSize);
    if (index < 0) continue;
    return {
      code: 'DATASET_TOKENS',
      message: `${name}[${index}] is ${values[index]}, and the model has ${vocabSize} tokens; tokenize with this model's tokenizer`,
    };
  }
  return { ids: inputIds, labels: Int32Array.from(labels) };
}

function encodeAny(row: Row, options: TokenizeOptions): Encoded | Fault {
  switch (row.kind) {
    case 'tokens':
      return encodeTokens(row, options);
    case 'text':
      return encodeText(row.text, 0, options);
    case 'completion':
      return encodeText(row.prompt + row.completion, row.prompt.length, options);
    case 'chat':
      return encodeChat(row, options);
  }
}

function encodeRow(row: Row, options: TokenizeOptions): Encoded | Fault {
  try {
    return encodeAny(row, options);
  } catch (error) {
    if (!isQLoraError(error)) throw error;
    if (error.code === 'TOKENIZER_TEXT') return { code: error.code, message: error.message };
    // A template that must be stopped at one row would have to be at the next ones, too.
    if (!error.code.startsWith('CHAT_TEMPLATE_') || error.code === 'CHAT_TEMPLATE_LIMIT')
      throw error;
    return { code: 'DATASET_TEMPLATE', message: error.message };
  }
}

/**
 * Turns a row into tokens and labels. The text is rendered and tokenized once; a token is trained
 * if it starts inside what the template marks as the assistant's. Text rows, and prompts with
 * completions, get the tokenizer's eos token at the end, trained; `text` trains every token.
 *
 * Bad rows come back as errors. Only what is wrong with every row is thrown:
 *
 * @throws QLoraError `DATASET_TOKENIZER` or `DATASET_TEMPLATE_MISSING` where one is needed and
 * null, `DATASET_GENERATION_TAGS` if `trainOn` is `assistant` and the template has no such tags.
 */
export function tokenizeRow(row: Row, options: TokenizeOptions): TokenizedRow {
  const { file, maxSeqLength, truncation } = options;
  const { line } = row;
  const failed = (fault: Fault) => ({ kind: 'error' as const, error: { file, line, ...fault } });
  const encoded = encodeRow(row, options);
  if ('code' in encoded) return failed(encoded);
  const inputIds = Int32Array.from(encoded.ids);
  const { labels } = encoded;
  const measured = { length: inputIds.length, trained: countTrained(labels) };
  if (measured.trained === 0) {
    const message =
      'no token of the row is trained; check its answers or labels (the first token never is)';
    return { ...failed({ code: 'DATASET_NOTHING_TRAINED', message }), ...measured };
  }
  if (inputIds.length <= maxSeqLength) {
    return { kind: 'example', example: { inputIds, labels, line }, truncated: false, ...measured };
  }
  if (truncation === 'error') {
    const message = `the row has ${inputIds.length} tokens, more than max_seq_length ${maxSeqLength}; shorten it, raise max_seq_length, or set truncation to drop or truncate`;
    return { ...failed({ code: 'DATASET_TOO_LONG', message }), ...measured };
  }
  const kept = labels.slice(0, maxSeqLength);
  if (truncation === 'drop' || countTrained(kept) === 0) return { kind: 'dropped', ...measured };
  const example = { inputIds: inputIds.slice(0, maxSeqLength), labels: kept, line };
  return { kind: 'example', example, truncated: true, ...measured };
}

/** A dataset as tokens. */
export interface TokenizedDataset {
  readonly examples: readonly TokenizedExample[];
  readonly errors: readonly RowError[];
  /** Lines of rows left out for their length, and of rows cut. */
  readonly dropped: readonly number[];
  readonly truncated: readonly number[];
  /** Tokens, and trained tokens, of every row that became tokens, before any cut. */
  readonly lengths: Int32Array;
  readonly trained: Int32Array;
}

/**
 * {@link tokenizeRow} for all rows.
 *
 * @throws QLoraError as tokenizeRow does.
 */
export function tokenizeRows(rows: readonly Row[], options: TokenizeOptions): TokenizedDataset {
  const results = rows.map((row) => ({ row, result: tokenizeRow(row, options) }));
  const examples = results.flatMap(({ result }) =>
    result.kind === 'example' ? [result.example] : [],
  );
  const lines = (keep: (result: TokenizedRow) => boolean) =>
    results.flatMap(({ row, result }) => (keep(result) ? [row.line] : []));
  return {
    examples,
    errors: results.flatMap(({ result }) => (result.kind === 'error' ? [result.error] : [])),
    dropped: lines((result) => result.kind === 'dropped'),
    truncated: lines((result) => result.kind === 'example' && result.truncated),
    lengths: Int32Array.from(results.flatMap(({ result }) => result.length ?? [])),
    trained: Int32Array.from(results.flatMap(({ result }) => result.trained ?? [])),
  };
}
