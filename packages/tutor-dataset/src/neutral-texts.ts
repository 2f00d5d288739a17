/**
 * The URL of `neutral.jsonl`: 28 short texts in Spanish on everyday subjects (`kind` `es`) and 18
 * pieces of Python and JavaScript (`kind` `code`), as rows `{ id, kind, text }`. None is about
 * algorithms and none was trained on: the perplexity on them before and after a fine-tuning says
 * what it made a model forget.
 */
export const neutralTexts: URL = new URL('../data/neutral.jsonl', import.meta.url);
