import { QLoraError } from '@qlorajs/errors';
import { readJson } from '../io/read.js';
import type { VoiceRecord } from './records.js';

function isVoice(value: unknown): value is VoiceRecord {
  const voice = value as Partial<VoiceRecord> | null;
  return (
    typeof voice?.name === 'string' && Array.isArray(voice.chats) && Array.isArray(voice.neutral)
  );
}

/** An interval of a difference needs both sides of every chat. */
function sameRows(a: VoiceRecord, b: VoiceRecord): boolean {
  const ids = ({ chats, neutral }: VoiceRecord) =>
    [...chats, ...neutral].map(({ id, tokens }) => `${id} ${tokens}`).join('\n');
  return ids(a) === ids(b);
}

/**
 * The voices of an earlier evaluation's eval.json, called after how their base was held.
 * @throws QLoraError `EVAL_AGAINST` when it is none, or was made on other rows
 */
export async function earlierVoices(file: string, first: VoiceRecord): Promise<VoiceRecord[]> {
  const document = (await readJson(file)) as { records?: unknown };
  const { records } = document ?? {};
  const wrong = (what: string) =>
    new QLoraError('EVAL_AGAINST', `${file} ${what}`, { details: { file } });
  if (!Array.isArray(records) || !records.every(isVoice))
    throw wrong('is no eval.json of "qlora eval --out"; give the file that it wrote');
  if (!records.every((each) => sameRows(each, first)))
    throw wrong('was made on other rows or with another tokenizer; evaluate the same --data');
  return records.map((each) => {
    const how = each.load_in_4bit ? '4-bit' : 'full precision';
    return { ...each, name: `${each.name} (${how})` };
  });
}
