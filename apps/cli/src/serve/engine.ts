import { setImmediate as turn } from 'node:timers/promises';
import {
  type FinishReason,
  GenerationPool,
  type SampledToken,
  type SequenceOptions,
  StopStrings,
} from '@qlorajs/phi2-model';
import type { Voice } from '@qlorajs/session';
import type { Session } from '../model/session.js';
import { ApiError } from './api-error.js';
import type { Metrics } from './metrics.js';

/** Bounds of the work that is taken on. */
export interface EngineLimits {
  /** Answers computed together. */
  readonly maxBatch: number;
  /** Answers that may wait; more are refused. */
  readonly maxQueue: number;
  /** Seconds that one answer may take, waiting included. */
  readonly requestTimeout: number;
}

/** A piece of an answer: complete characters, and the tokens that they came with. */
export interface Piece {
  readonly text: string;
  readonly tokens: readonly SampledToken[];
}

/** How an answer ended. */
export interface Ending {
  readonly reason: 'stop' | 'length';
  readonly tokens: number;
}

/** One answer to compute. */
export interface EngineRequest extends SequenceOptions {
  readonly voice: Voice;
  readonly ids: readonly number[];
  readonly stop: readonly string[];
  /** Aborts when the client is gone. */
  readonly signal: AbortSignal;
}

/** Computes answers of a session's voices together. */
export class Engine {
  readonly session: Session;
  readonly #pool: GenerationPool;
  readonly #limits: EngineLimits;
  readonly #metrics: Metrics;

  constructor(session: Session, limits: EngineLimits, metrics: Metrics) {
    this.session = session;
    this.#limits = limits;
    this.#metrics = metrics;
    this.#pool = new GenerationPool(session.model, {
      maxRows: limits.maxBatch,
      turn: () => turn(),
    });
  }

  get load() {
    return this.#pool.load;
  }

  /** @throws ApiError 404 */
  voice(name: string): Voice {
    const { voices } = this.session;
    const voice = voices.find((each) => each.name === name);
    if (voice) return voice;
    const names = voices.map((each) => each.name).join(', ');
    throw new ApiError(404, `The model '${name}' does not exist; there are ${names}`, {
      code: 'model_not_found',
      param: 'model',
    });
  }

  /** Whether so many more answers may be asked for. @throws ApiError 429, or 400 for a prompt that is too long */
  check(prompts: readonly (readonly number[])[], answers: number): void {
    const { maxPositions } = this.session.model.config;
    const { waiting, running } = this.load;
    const longest = Math.max(...prompts.map(({ length }) => length));
    if (longest >= maxPositions)
      throw new ApiError(
        400,
        `This model's context is ${maxPositions} tokens, and the prompt takes ${longest}; shorten the messages`,
        { code: 'context_length_exceeded', param: 'messages' },
      );
    if (prompts.some(({ length }) => length === 0))
      throw new ApiError(400, 'the prompt has no tokens', { param: 'prompt' });
    const { maxBatch, maxQueue } = this.#limits;
    if (running + waiting + answers > maxBatch + maxQueue)
      throw new ApiError(429, 'too many requests are waiting; try again in a moment', {
        type: 'rate_limit_error',
        code: 'queue_full',
      });
  }

  /** Yields an answer's text as its characters are complete. */
  async *answer(request: EngineRequest): AsyncGenerator<Piece, Ending> {
    const { voice, ids, stop: texts, signal, ...options } = request;
    const started = performance.now();
    // By hand: AbortSignal.timeout and .any would keep every request until its time is over.
    const ending = new AbortController();
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      ending.abort();
    }, 1000 * this.#limits.requestTimeout);
    const gone = () => ending.abort();
    if (signal.aborted) gone();
    signal.addEventListener('abort', gone, { once: true });
    const stream = voice.tokenizer.streamDecoder({ skipSpecialTokens: true });
    const stop = new StopStrings(texts);
    const { eosId } = voice.tokenizer;
    const generation = this.#pool.generate(ids, {
      ...options,
      adapter: voice.adapter,
      limit: voice.tokenizer.size,
      stopIds: voice.format?.stopIds ?? (eosId === null ? [] : [eosId]),
      signal: ending.signal,
    });
    this.#metrics.prompt(ids.length);
    let tokens = 0;
    let pending: SampledToken[] = [];
    const piece = (text: string): Piece[] => {
      if (text === '') return [];
      const result = [{ text, tokens: pending }];
      pending = [];
      return result;
    };
    try {
      for (;;) {
        const next = await generation.next();
        if (next.done) {
          yield* piece(stop.push(stream.flush()) + stop.flush());
          return { reason: this.#reason(next.value, late), tokens };
        }
        if (tokens++ === 0) this.#metrics.firstToken((performance.now() - started) / 1000);
        pending.push(next.value);
        yield* piece(stop.push(stream.push(next.value.id)));
        if (stop.found !== null) return { reason: 'stop', tokens };
      }
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', gone);
      this.#metrics.generated(tokens);
      await generation.return('aborted');
    }
  }

  #reason(reason: FinishReason, late: boolean): Ending['reason'] {
    if (reason === 'stop') return 'stop';
    if (reason !== 'aborted') return 'length';
    if (late)
      throw new ApiError(408, `the answer took more than ${this.#limits.requestTimeout} s`, {
        type: 'timeout_error',
        code: 'request_timeout',
      });
    this.#metrics.cancelled();
    throw new ApiError(499, 'the client is gone', { code: 'client_gone' });
  }

  /** Waits until every answer has ended. */
  idle(): Promise<void> {
    return this.#pool.idle();
  }
}
