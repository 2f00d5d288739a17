import { type FinishReason, GenerationPool, type PhiModel } from '@qlorajs/phi2-model';
import type { GenerationSettings } from '../options/generation-options.js';
import { turn } from '../turn.js';
import { systemMessage, tokensOf } from './answer.js';
import type { Voice } from './voice.js';

/** What one voice said. */
export interface Compared {
  readonly title: string;
  readonly text: string;
  readonly tokens: number;
  readonly reason: FinishReason;
}

/** Lets voices answer one question at the same time, each in a conversation of its own. */
export async function compareVoices(
  model: PhiModel,
  voices: readonly Voice[],
  question: string,
  settings: GenerationSettings,
  context: {
    readonly system: string | undefined;
    readonly signal: AbortSignal;
    /** Text of a voice as it is complete. */
    readonly onText?: (title: string, text: string) => void;
  },
): Promise<Compared[]> {
  const pool = new GenerationPool(model, { turn });
  return Promise.all(
    voices.map(async (voice) => {
      const messages = [
        ...systemMessage(voice, context.system),
        { role: 'user', content: question },
      ];
      const { eosId } = voice.tokenizer;
      const stream = voice.tokenizer.streamDecoder({ skipSpecialTokens: true });
      let [text, tokens] = ['', 0];
      const add = (piece: string) => {
        text += piece;
        if (piece !== '') context.onText?.(voice.name, piece);
      };
      const generation = pool.generate(tokensOf(voice, messages), {
        ...settings,
        adapter: voice.adapter,
        limit: voice.tokenizer.size,
        stopIds: voice.format?.stopIds ?? (eosId === null ? [] : [eosId]),
        signal: context.signal,
      });
      for (;;) {
        const next = await generation.next();
        if (next.done) {
          add(stream.flush());
          return { title: voice.name, text, tokens, reason: next.value };
        }
        tokens++;
        add(stream.push(next.value.id));
      }
    }),
  );
}
