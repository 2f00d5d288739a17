import { setImmediate as turn } from 'node:timers/promises';
import { GenerationPool } from '@qlorajs/phi2-model';
import { type GenerationSettings, systemMessage, tokensOf, type Voice } from '@qlorajs/session';
import type { Session } from '../model/session.js';

/** What one voice said. */
export interface Compared {
  readonly title: string;
  readonly text: string;
}

/** Lets voices answer one question at the same time, each in a conversation of its own. */
export async function compareVoices(
  session: Session,
  voices: readonly Voice[],
  question: string,
  settings: GenerationSettings,
  context: { readonly system: string | undefined; readonly signal: AbortSignal },
): Promise<Compared[]> {
  const pool = new GenerationPool(session.model, { turn: () => turn() });
  return Promise.all(
    voices.map(async (voice) => {
      const messages = [
        ...systemMessage(voice, context.system),
        { role: 'user', content: question },
      ];
      const { eosId } = voice.tokenizer;
      const ids: number[] = [];
      const generation = pool.generate(tokensOf(voice, messages), {
        ...settings,
        adapter: voice.adapter,
        limit: voice.tokenizer.size,
        stopIds: voice.format?.stopIds ?? (eosId === null ? [] : [eosId]),
        signal: context.signal,
      });
      for await (const { id } of generation) ids.push(id);
      return { title: voice.name, text: voice.tokenizer.decode(ids, { skipSpecialTokens: true }) };
    }),
  );
}
