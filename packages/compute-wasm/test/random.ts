import {
  type Backend,
  counterBits,
  counterKey,
  integersFrom,
  type LinearWeight,
  sizeOf,
  type Tensor,
  tensorFrom,
} from '@qlorajs/compute';

/** Seeded inputs that are the same on every backend; what it made is freed by `freeAll`. */
export class Inputs {
  readonly #backend: Backend;
  readonly #made: Tensor[] = [];
  #seed: number;

  constructor(backend: Backend, seed: number) {
    this.#backend = backend;
    this.#seed = seed;
  }

  #keep(tensor: Tensor): Tensor {
    this.#made.push(tensor);
    return tensor;
  }

  /** Uniform in [-scale, scale). */
  floats(shape: readonly number[], scale = 1.7): Tensor {
    const key = counterKey(this.#seed++, 1);
    const values = Float32Array.from(
      { length: sizeOf(shape) },
      (_, i) => scale * (counterBits(key, i) * 2 ** -31 - 1),
    );
    return this.#keep(tensorFrom(this.#backend, values, shape));
  }

  integers(values: readonly number[]): Tensor {
    return this.#keep(integersFrom(this.#backend, values));
  }

  bytes(size: number): Tensor {
    const key = counterKey(this.#seed++, 2);
    const tensor = this.#keep(this.#backend.empty('u8', [size]));
    this.#backend.write(
      tensor,
      Uint8Array.from({ length: size }, (_, i) => counterBits(key, i) & 255),
    );
    return tensor;
  }

  /** Halves of any finite kind: normal, subnormal and zero. */
  halves(shape: readonly number[]): Tensor {
    const key = counterKey(this.#seed++, 3);
    const tensor = this.#keep(this.#backend.empty('f16', shape));
    this.#backend.write(
      tensor,
      Uint16Array.from({ length: tensor.size }, (_, i) => {
        const bits = counterBits(key, i);
        const exponent = bits & 0x10000 ? 0 : 8 + ((bits >>> 17) & 7);
        return (bits & (bits & 0x100000 ? 0x8000 : 0x83ff)) | (exponent << 10);
      }),
    );
    return tensor;
  }

  weight(kind: WeightKind, shape: readonly [number, number], blockSize = 64): LinearWeight {
    if (kind === 'f32') return { kind: 'dense', shape, values: this.floats(shape) };
    if (kind === 'f16') return { kind: 'dense', shape, values: this.halves(shape) };
    const size = sizeOf(shape);
    const blocks = Math.ceil(size / blockSize);
    const codes = this.bytes(Math.ceil(size / 2));
    if (kind === 'nf4') {
      const absmax = this.floats([blocks]);
      return { kind: 'nf4', shape, blockSize, codes, scales: { kind: 'plain', absmax } };
    }
    const nested = 32;
    const scales = {
      kind: 'double',
      codes: this.bytes(blocks),
      absmax: this.floats([Math.ceil(blocks / nested)]),
      codeMap: this.floats([256]),
      offset: 0.0625,
      blockSize: nested,
    } as const;
    return { kind: 'nf4', shape, blockSize, codes, scales };
  }

  freeAll(): void {
    for (const tensor of this.#made.splice(0)) this.#backend.free(tensor);
  }
}

export const WEIGHT_KINDS = ['f32', 'f16', 'nf4', 'nf4-double'] as const;
export type WeightKind = (typeof WEIGHT_KINDS)[number];
