import type { LoraAdapter } from '@qlorajs/lora';
import { Ahead } from './ahead.js';
import { Decoder } from './decoder.js';
import type { PhiModel } from './model.js';
import type { SampledToken } from './sampler.js';
import { type Chosen, type FinishReason, Sequence, type SequenceOptions } from './sequence.js';
import { TokenQueue } from './token-queue.js';

/** How a pool shares the model. */
export interface PoolOptions {
  /** Answers under way at one time; others wait. Default 16. */
  readonly maxRows?: number;
  /** Prompt tokens read between two steps of the answers under way. Default 128. */
  readonly prefillChunk?: number;
  /** Lets the host do other work between two steps, such as taking requests; default: nothing. */
  readonly turn?: () => Promise<void>;
}

/** One answer in a pool. */
export interface PoolRequest extends SequenceOptions {
  readonly signal?: AbortSignal;
  /** Whose adapter answers; null is the base. */
  readonly adapter: LoraAdapter | null;
}

/** How busy a pool is. */
export interface PoolLoad {
  readonly running: number;
  readonly waiting: number;
  /** Bytes of the caches under way. */
  readonly cacheBytes: number;
}

interface Row {
  readonly ids: readonly number[];
  readonly request: PoolRequest;
  readonly queue: TokenQueue;
  readonly sequence: Sequence;
  decoder: Decoder | null;
  /** While it is the only answer under way; null where the host has to choose. */
  ahead: Ahead | null;
  /** Prompt tokens read. */
  read: number;
  /** The token that was chosen and not yet read. */
  next: number | null;
  cancelled: boolean;
}

/**
 * Answers many prompts on one model at a time (continuous batching, Orca,
 * https://www.usenix.org/conference/osdi22/presentation/yu): each step reads one token of every
 * answer under way in one pass, each with its own adapter; answers join and leave between steps.
 */
export class GenerationPool {
  readonly #model: PhiModel;
  readonly #maxRows: number;
  readonly #prefillChunk: number;
  readonly #turn: () => Promise<void>;
  readonly #waiting: Row[] = [];
  #running: Row[] = [];
  #loop: Promise<void> | null = null;

  constructor(model: PhiModel, options: PoolOptions = {}) {
    this.#model = model;
    this.#maxRows = options.maxRows ?? 16;
    this.#prefillChunk = options.prefillChunk ?? 128;
    this.#turn = options.turn ?? (async () => {});
  }

  get load(): PoolLoad {
    return {
      running: this.#running.length,
      waiting: this.#waiting.length,
      cacheBytes: this.#running.reduce((sum, { decoder }) => sum + (decoder?.bytes ?? 0), 0),
    };
  }

  /**
   * As `generate`, beside other answers. Ending the iteration early frees the row at once.
   * @throws QLoraError `PHI_CONTEXT` when the prompt does not fit the context
   */
  async *generate(
    ids: readonly number[],
    request: PoolRequest,
  ): AsyncGenerator<SampledToken, FinishReason> {
    const row: Row = {
      ...{ ids, request, queue: new TokenQueue(), decoder: null, ahead: null },
      sequence: new Sequence(ids, this.#model.config, request),
      ...{ read: 0, next: null, cancelled: false },
    };
    this.#waiting.push(row);
    this.#loop ??= this.#run();
    try {
      return yield* row.queue.drain();
    } finally {
      row.cancelled = true;
    }
  }

  /** Waits until no answer is under way. */
  async idle(): Promise<void> {
    await this.#loop;
  }

  async #run(): Promise<void> {
    while (this.#running.length + this.#waiting.length > 0) {
      this.#sweep();
      this.#admit();
      await this.#prefill();
      await this.#step();
      await this.#turn();
    }
    this.#loop = null;
  }

  /** Lets go of answers that nobody waits for. */
  #sweep(): void {
    for (const row of [...this.#running, ...this.#waiting])
      if (row.cancelled || row.request.signal?.aborted) this.#end(row, 'aborted');
  }

  #end(row: Row, reason: FinishReason | { readonly error: unknown }): void {
    row.ahead?.dispose();
    row.decoder?.dispose();
    row.ahead = null;
    row.decoder = null;
    this.#running = this.#running.filter((each) => each !== row);
    const at = this.#waiting.indexOf(row);
    if (at >= 0) this.#waiting.splice(at, 1);
    if (typeof reason === 'string') row.queue.finish(reason);
    else row.queue.fail(reason.error);
  }

  #admit(): void {
    while (this.#running.length < this.#maxRows && this.#waiting.length > 0) {
      const row = this.#waiting.shift()!;
      const { maxNewTokens = 256, adapter } = row.request;
      try {
        row.decoder = new Decoder(this.#model, row.ids.length + maxNewTokens, adapter);
        row.ahead = Ahead.of(this.#model, row.decoder, row.sequence);
        this.#running.push(row);
      } catch (error) {
        this.#end(row, { error });
      }
    }
  }

  /** Reads the next part of the prompt of the answer that has waited longest for it. */
  async #prefill(): Promise<void> {
    const row = this.#running.find(({ next }) => next === null);
    if (!row?.decoder) return;
    const end = Math.min(row.ids.length, row.read + this.#prefillChunk);
    try {
      const logits = await row.decoder.read(row.ids.slice(row.read, end));
      row.read = end;
      if (end === row.ids.length) this.#choose(row, logits);
    } catch (error) {
      this.#end(row, { error });
    }
  }

  async #step(): Promise<void> {
    const rows = this.#running.filter(({ next }) => next !== null);
    if (rows.length === 0) return;
    try {
      const [row] = rows;
      if (row.ahead && this.#running.length === 1) {
        const token = await row.ahead.next(row.next!);
        this.#take(row, row.sequence.accept(token, row.decoder!));
        return;
      }
      for (const { ahead } of rows) ahead?.forget();
      const logits = await Decoder.step(
        rows.map(({ decoder }) => decoder!),
        rows.map(({ next }) => next!),
      );
      for (const [i, row] of rows.entries()) this.#choose(row, logits[i]);
    } catch (error) {
      for (const row of rows) this.#end(row, { error });
    }
  }

  #choose(row: Row, logits: Float32Array): void {
    this.#take(row, row.sequence.choose(logits, row.decoder!));
  }

  #take(row: Row, { token, finished }: Chosen): void {
    if (token) row.queue.push(token);
    row.next = token?.id ?? null;
    if (finished) this.#end(row, finished);
  }
}
