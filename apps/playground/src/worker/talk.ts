import { QLoraError } from '@qlorajs/errors';
import { Conversation, compareVoices, type GenerationSettings } from '@qlorajs/session';
import type { Said } from '../protocol.js';
import type { Bench } from './bench.js';

/** The chat of the page: one conversation, and comparisons beside it. */
export class Talk {
  readonly #bench: Bench;
  readonly #onText: (slot: string, text: string) => void;
  #conversation: Conversation | null = null;
  #stopping: AbortController | null = null;

  constructor(bench: Bench, onText: (slot: string, text: string) => void) {
    this.#bench = bench;
    this.#onText = onText;
  }

  /** Ends the answer under way. */
  stop(): void {
    this.#stopping?.abort();
  }

  /** Forgets the conversation; the next one begins with the voices that are there. */
  reset(): void {
    this.stop();
    this.#conversation?.dispose();
    this.#conversation = null;
  }

  async #alone<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#stopping)
      throw new QLoraError('BUSY', 'an answer is under way; stop it first', { kind: 'runtime' });
    this.#stopping = new AbortController();
    try {
      return await work(this.#stopping.signal);
    } finally {
      this.#stopping = null;
    }
  }

  /** The conversation, with every voice that is there by now. */
  #conversationNow(): Conversation {
    const { loaded, voices } = this.#bench;
    const all = [...voices.values()];
    this.#conversation ??= new Conversation({ model: loaded.model, voices: all }, undefined);
    const known = new Set(this.#conversation.voices.map(({ name }) => name));
    for (const voice of all) if (!known.has(voice.name)) this.#conversation.add(voice);
    return this.#conversation;
  }

  async say(voice: string, text: string, settings: GenerationSettings): Promise<Said> {
    // A base without a chat template goes on with a text, and remembers nothing.
    if (this.#bench.voice(voice).format === null)
      return (await this.compare([voice], text, { ...settings, system: '' }))[0];
    return this.#alone(async (signal) => {
      const conversation = this.#conversationNow();
      conversation.use(voice);
      conversation.system = settings.system;
      const onText = (piece: string) => this.#onText('main', piece);
      const turn = await conversation.say(text, settings, { signal, onText });
      return {
        voice,
        text: turn.answer,
        tokens: turn.tokens,
        tokensPerSecond: turn.tokens_per_second,
        reason: turn.finish_reason,
        forgotten: turn.forgotten,
      };
    });
  }

  compare(names: readonly string[], text: string, settings: GenerationSettings): Promise<Said[]> {
    return this.#alone(async (signal) => {
      const { loaded } = this.#bench;
      const voices = names.map((name) => this.#bench.voice(name));
      const started = performance.now();
      const said = await compareVoices(loaded.model, voices, text, settings, {
        ...{ system: settings.system, signal, onText: this.#onText },
      });
      const seconds = (performance.now() - started) / 1000;
      return said.map(({ title, text: answer, tokens, reason }) => ({
        ...{ voice: title, text: answer, tokens, reason, forgotten: 0 },
        tokensPerSecond: tokens / seconds,
      }));
    });
  }
}
