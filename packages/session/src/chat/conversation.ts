import type { ChatMessage } from '@qlorajs/chat-template';
import { QLoraError } from '@qlorajs/errors';
import { Decoder, type PhiModel } from '@qlorajs/phi2-model';
import type { GenerationSettings } from '../options/generation-options.js';
import { nearest } from '../options/nearest.js';
import { type Answer, type AnswerContext, answer, systemMessage, tokensOf } from './answer.js';
import type { Voice } from './voice.js';

/** An answer, and how many old turns had to go to make room for it. */
export interface Turn extends Answer {
  readonly forgotten: number;
}

function commonPrefix(a: readonly number[], b: readonly number[]): number {
  const end = Math.min(a.length, b.length);
  let i = 0;
  while (i < end && a[i] === b[i]) i++;
  return i;
}

/**
 * A chat with memory. Keys and values of what was read stay, so that a turn reads only what is new;
 * another voice starts from an empty cache, because it sees the same words differently.
 */
export class Conversation {
  readonly #model: PhiModel;
  #system: string | undefined;
  readonly #decoder: Decoder;
  /** What the decoder holds. */
  #held: number[] = [];
  #messages: ChatMessage[] = [];
  #voice: Voice;
  readonly #voices: Voice[];

  constructor(
    { model, voices }: { readonly model: PhiModel; readonly voices: readonly Voice[] },
    system: string | undefined,
  ) {
    this.#model = model;
    this.#system = system;
    this.#decoder = new Decoder(model);
    this.#voice = voices[0];
    this.#voices = [...voices];
  }

  get voices(): readonly Voice[] {
    return this.#voices;
  }

  /** Questions and answers so far. */
  get messages(): readonly ChatMessage[] {
    return this.#messages;
  }

  /** The system message in force, as a list: empty where there is none. */
  get systemMessages(): readonly ChatMessage[] {
    return systemMessage(this.#voice, this.#system);
  }

  /** The system message in force; '' is none. Setting it holds for every voice. */
  get system(): string {
    return this.systemMessages[0]?.content ?? '';
  }

  set system(text: string | undefined) {
    this.#system = text;
  }

  /** The one that was set; undefined leaves each voice its own. */
  get givenSystem(): string | undefined {
    return this.#system;
  }

  get voice(): Voice {
    return this.#voice;
  }

  /** Forgets everything but the system message. */
  reset(): void {
    this.#messages = [];
  }

  /** Takes the last question and its answer back; returns the question, or null. */
  undo(): string | null {
    const at = this.#messages.findLastIndex(({ role }) => role === 'user');
    return at < 0 ? null : this.#messages.splice(at)[0].content;
  }

  /** @throws QLoraError `CHAT_VOICE` */
  voiceCalled(name: string): Voice {
    const voice = this.#voices.find((each) => each.name === name);
    if (voice) return voice;
    const names = this.#voices.map((each) => each.name);
    throw new QLoraError(
      'CHAT_VOICE',
      `no adapter is called "${name}"; the nearest is "${nearest(name, names)}" of ${names.join(', ')}`,
    );
  }

  /** Another voice goes on with the same conversation. @throws QLoraError `CHAT_VOICE` */
  use(name: string): void {
    this.#voice = this.voiceCalled(name);
    this.#model.attach(this.#voice.adapter);
    this.#held = [];
  }

  /** One more voice to choose from. */
  add(voice: Voice): void {
    this.#voices.push(voice);
  }

  /** Drops the oldest exchanges until the prompt leaves room for an answer. */
  #fit(settings: GenerationSettings): { ids: number[]; forgotten: number } {
    const { capacity } = this.#decoder;
    const room = capacity - Math.min(settings.maxNewTokens, Math.floor(capacity / 4));
    const tokens = () =>
      tokensOf(this.#voice, [...systemMessage(this.#voice, this.#system), ...this.#messages]);
    let ids = tokens();
    let forgotten = 0;
    while (ids.length > room && this.#messages.length > 2) {
      this.#messages.splice(0, 2);
      forgotten++;
      ids = tokens();
    }
    return { ids, forgotten };
  }

  /** One turn. When it fails the user's message is taken back. */
  async say(text: string, settings: GenerationSettings, context: AnswerContext): Promise<Turn> {
    this.#messages.push({ role: 'user', content: text });
    try {
      const { ids, forgotten } = this.#fit(settings);
      const kept = Math.min(commonPrefix(this.#held, ids), ids.length - 1);
      this.#decoder.truncate(kept);
      this.#held = ids.slice(0, kept);
      const said: number[] = [];
      const result = await answer(this.#model, this.#voice, ids.slice(kept), settings, {
        ...context,
        decoder: this.#decoder,
        history: this.#held,
        onToken: (id) => said.push(id),
      });
      this.#held = [...ids, ...said].slice(0, this.#decoder.length);
      this.#messages.push({ role: 'assistant', content: result.answer });
      return { ...result, prompt_tokens: ids.length, forgotten };
    } catch (error) {
      this.#messages.pop();
      throw error;
    }
  }

  dispose(): void {
    this.#decoder.dispose();
  }
}
