import type { Tensor } from '@qlorajs/compute';
import { checkRoom, type Decoder } from './decoder.js';
import type { PhiModel } from './model.js';
import { runsOf } from './pass.js';
import { recordBlocks } from './record-blocks.js';
import { replayed } from './replay.js';
import type { SampledToken } from './sampler.js';
import type { GreedyChoice, Sequence } from './sequence.js';

/** Tokens of a burst at most: what is beyond the end of an answer was computed for nothing. */
const MOST = 8;
/** Of the first one, which says how long a token takes. */
const FIRST = 2;
/** How long a burst may take: text comes that often, and an answer can be stopped. */
const MILLISECONDS = 25;

/**
 * Chooses tokens on the device, several before the host hears of them: it would otherwise be waited for
 * after every token. What was chosen beyond the end of the answer never counts as read.
 */
export class Ahead {
  readonly #model: PhiModel;
  readonly #decoder: Decoder;
  readonly #sequence: Sequence;
  readonly #choice: GreedyChoice;
  /** i32 `[V]`, with a repetition penalty. */
  #seen: Tensor | null = null;
  #marked = false;
  #tokens: SampledToken[] = [];
  #count = FIRST;

  private constructor(model: PhiModel, decoder: Decoder, sequence: Sequence, choice: GreedyChoice) {
    this.#model = model;
    this.#decoder = decoder;
    this.#sequence = sequence;
    this.#choice = choice;
  }

  /** Null where the host has to choose. */
  static of(model: PhiModel, decoder: Decoder, sequence: Sequence): Ahead | null {
    const { greedy } = sequence;
    if (!greedy || !model.backend.decoding || model.isPaged) return null;
    return new Ahead(model, decoder, sequence, greedy);
  }

  /**
   * Reads the token that was chosen last and tells the one that comes next.
   * @throws QLoraError `PHI_CONTEXT` where the decoder is full
   */
  async next(id: number): Promise<SampledToken> {
    if (this.#tokens.length === 0) await this.#burst(id);
    this.#decoder.advance(1);
    return this.#tokens.shift()!;
  }

  /** Others read on: what was computed ahead is forgotten. */
  forget(): void {
    this.#tokens = [];
    this.#marked = false;
  }

  dispose(): void {
    if (this.#seen) this.#model.backend.free(this.#seen);
    this.#seen = null;
  }

  async #burst(id: number): Promise<void> {
    const { capacity, length } = this.#decoder;
    checkRoom(this.#decoder, 1);
    const count = Math.max(1, Math.min(this.#count, this.#sequence.left, capacity - length));
    const started = performance.now();
    const chosen = await this.#model.backend.read(this.#record(id, count));
    const took = (performance.now() - started) / count;
    this.#count = Math.min(MOST, Math.max(1, Math.floor(MILLISECONDS / took)));
    this.#tokens = Array.from({ length: count }, (_, i) => ({
      id: chosen[2 * i],
      logprob: chosen[2 * i + 1],
    }));
  }

  /** f32 `[count, 2]`: what `chooseToken` tells of each. */
  #record(id: number, count: number): Tensor {
    const { backend, workspace } = this.#model;
    const decoder = this.#decoder;
    const { length, adapter } = decoder;
    const at = (first: number) => Int32Array.from({ length: MOST }, (_, i) => first + i);
    const positions = workspace.integers('ahead.positions', at(length));
    const lengths = workspace.integers('ahead.lengths', at(length + 1));
    const ids = workspace.integers('ahead.ids', Int32Array.of(id, ...new Array(MOST).fill(0)));
    const chosen = workspace.get('ahead.chosen', [MOST, 2]);
    const seen = this.#marks();
    const one = (tensor: Tensor, i: number) => backend.view(tensor, i, [1]);
    const placed = (i: number) => {
      const position = one(positions, i);
      const same = { positions: position, queryStart: position, slots: position };
      return { ...same, keyLengths: one(lengths, i) };
    };
    const first = { ...placed(0), caches: [decoder], runs: runsOf([adapter], 1) };
    const begun = this.#model.beginPass(1, 1, first);
    const { penalty, limit } = this.#choice;
    for (let i = 0; i < count; i++) {
      const pass = { ...begun, ...placed(i) };
      const work = () => {
        const h = recordBlocks(pass, this.#model.embed(pass, one(ids, i)));
        const logits = this.#model.headLogits(pass, h, Int32Array.of(0));
        const [to, tell] = [one(ids, i + 1), backend.view(chosen, 2 * i, [2])];
        backend.decoding!.chooseToken({ logits, seen, penalty, limit, id: to, chosen: tell });
      };
      replayed(pass, `token ${i} ahead ${limit} ${penalty}`, work, [seen]);
    }
    return backend.view(chosen, 0, [2 * count]);
  }

  /** The tokens that the penalty counts; those that are chosen here are marked by the device. */
  #marks(): Tensor | null {
    if (this.#choice.penalty === 1) return null;
    const { backend, config } = this.#model;
    this.#seen ??= backend.empty('i32', [config.vocabSize], 'seen');
    if (!this.#marked) {
      const marks = new Int32Array(config.vocabSize);
      for (const id of this.#sequence.seen) if (id < marks.length) marks[id] = 1;
      backend.write(this.#seen, marks);
    }
    this.#marked = true;
    return this.#seen;
  }
}
