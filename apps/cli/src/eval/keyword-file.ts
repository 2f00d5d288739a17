import { QLoraError } from '@qlorajs/errors';
import { readJson } from '../io/read.js';

/** Keywords by topic from a JSON file. @throws QLoraError `EVAL_KEYWORDS` */
export async function readKeywords(file: string): Promise<Record<string, readonly string[]>> {
  const value = await readJson(file);
  const isList = (each: unknown) =>
    Array.isArray(each) && each.every((word) => typeof word === 'string');
  if (typeof value === 'object' && value !== null && Object.values(value).every(isList))
    return value as Record<string, readonly string[]>;
  throw new QLoraError(
    'EVAL_KEYWORDS',
    `${file} must hold lists of words by topic, as in {"stacks": ["push", "pop"]}`,
    { details: { file } },
  );
}
