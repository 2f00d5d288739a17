import type { Tensor } from '@qlorajs/compute';

/**
 * The seed of dropout's masks, u32 `[1]` on the device and not among a dispatch's parameters: passes that
 * differ in it alone are the same commands.
 */
export class MaskSeed {
  readonly #make: () => Tensor;
  readonly #write: (tensor: Tensor, seed: number) => void;
  #tensor: Tensor | null = null;
  #value: number | null = null;

  constructor(make: () => Tensor, write: (tensor: Tensor, seed: number) => void) {
    this.#make = make;
    this.#write = write;
  }

  /** The tensor, holding `seed` for what is recorded next. */
  get(seed: number): Tensor {
    this.#tensor ??= this.#make();
    if (this.#value !== seed) this.#write(this.#tensor, seed);
    this.#value = seed;
    return this.#tensor;
  }
}
