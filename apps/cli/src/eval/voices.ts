import type { LoraAdapter } from '@qlorajs/lora';
import { type ChatFormat, chooseChatFormat, type Voice } from '@qlorajs/session';
import type { Session } from '../model/session.js';

/** Who is evaluated: the base, or the base with an adapter. */
export interface EvalVoice {
  readonly name: string;
  /** Its folder; null: the base. */
  readonly folder: string | null;
  readonly adapter: LoraAdapter | null;
  readonly format: ChatFormat;
}

/** Its own format, or the tutor's on its tokenizer. */
async function formatOf(voice: Voice, rows: number): Promise<ChatFormat> {
  return voice.format ?? chooseChatFormat(voice.tokenizer, undefined, rows);
}

/**
 * The base and every adapter. The base reads chats in the first adapter's format, so that all are
 * asked for the same tokens; its markers are rows that it never learnt.
 */
export async function evalVoices(
  { voices, base, model }: Session,
  folders: readonly string[],
): Promise<EvalVoice[]> {
  const rows = model.config.vocabSize;
  const first: EvalVoice = {
    ...{ name: base.name, folder: null, adapter: null },
    format: await formatOf(voices[0], rows),
  };
  const others: EvalVoice[] = [];
  for (const [i, folder] of folders.entries()) {
    const voice = voices[i];
    const format = await formatOf(voice, rows);
    others.push({ name: voice.name, folder, adapter: voice.adapter, format });
  }
  return [first, ...others];
}
