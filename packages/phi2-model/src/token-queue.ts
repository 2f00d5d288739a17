import type { SampledToken } from './sampler.js';
import type { FinishReason } from './sequence.js';

/** Hands tokens from whoever computes them to whoever waits for them. */
export class TokenQueue {
  readonly #tokens: SampledToken[] = [];
  #finished: FinishReason | null = null;
  #failure: unknown = null;
  #wake: () => void = () => {};

  push(token: SampledToken): void {
    this.#tokens.push(token);
    this.#wake();
  }

  finish(reason: FinishReason): void {
    this.#finished ??= reason;
    this.#wake();
  }

  fail(error: unknown): void {
    this.#failure ??= error;
    this.#wake();
  }

  /** Yields every token and returns the reason of the end. */
  async *drain(): AsyncGenerator<SampledToken, FinishReason> {
    for (;;) {
      const token = this.#tokens.shift();
      if (token) yield token;
      else if (this.#failure !== null) throw this.#failure;
      else if (this.#finished !== null) return this.#finished;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }
}
