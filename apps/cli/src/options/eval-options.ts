import {
  backendOptions,
  generationOptions,
  integer,
  number,
  type OptionsOf,
  option,
  optional,
  quantizationOptions,
  text,
  texts,
  toggle,
} from '@qlorajs/session';

const { system: _, seed: __, ...sampling } = generationOptions;

/** Everything `qlora eval` takes. */
export const evalOptions = {
  base: optional(text('DIR|ID|phi-nano'), 'the base (default: the one that the adapters record)'),
  adapter: optional(texts('DIR'), 'PEFT folder to set beside the base; repeatable'),
  data: optional(text('FILE'), "held-out rows (default: the tutor dataset's test split)"),
  neutral: optional(
    text('FILE|none'),
    'text rows to measure forgetting on (default: the ones of the tutor dataset)',
  ),
  keywords: optional(
    text('FILE'),
    'JSON {"topic": ["word", …]} for the recall (default: those of the tutor dataset)',
  ),
  limit: option(integer(0), 0, 'only the first so many rows; 0: all'),
  out: optional(text('DIR'), 'folder for report.html and eval.json'),
  against: optional(texts('FILE'), 'eval.json of an earlier evaluation to set beside; repeatable'),
  generate: option(toggle, true, 'answer the questions; without, losses alone'),
  run_code: option(toggle, false, 'run the code of the answers, in a sandbox'),
  code_timeout: option(number(0.1), 10, 'seconds that a block of code may take'),
  resamples: option(integer(100), 2000, 'of the bootstrap'),
  confidence: option(number(0.5, 0.999), 0.95, 'of the intervals'),
  ...sampling,
  max_new_tokens: option(integer(1), 300, 'length limit of an answer'),
  seed: option(integer(0, 2 ** 32 - 1), 42, 'of the draws and of the bootstrap'),
  ...quantizationOptions,
  ...backendOptions,
};

export type EvalOptions = OptionsOf<typeof evalOptions>;
