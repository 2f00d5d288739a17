import { checkUnmerge, mergeAdapter, type PeftAdapterFiles } from '@qlorajs/lora';
import { checkTensors, phiTensors } from '@qlorajs/phi2-model';
import { dequantizeNf4, fromBitsandbytes, isBitsandbytesWeight } from '@qlorajs/quant-nf4';
import { fromFloat32, type TensorSource, toFloat32 } from '@qlorajs/safetensors';
import type { BaseFolder } from '../io/base-folder.js';

/** Floating-point formats of a checkpoint. */
export type FloatType = 'F32' | 'F16' | 'BF16';

/**
 * A base's weights with adapters merged in, as a checkpoint: each tensor is read, merged and rounded
 * when it is asked for. 4-bit weights are dequantized first.
 */
export class MergedWeights implements TensorSource {
  readonly name: string;
  readonly tensors: TensorSource['tensors'];
  readonly #weights: TensorSource;
  readonly #adapters: readonly PeftAdapterFiles[];
  readonly #direction: 'merge' | 'unmerge';
  readonly #type: FloatType;

  constructor(
    base: BaseFolder,
    weights: TensorSource,
    adapters: readonly PeftAdapterFiles[],
    type: FloatType,
    direction: 'merge' | 'unmerge' = 'merge',
  ) {
    checkTensors(base.config, weights.tensors, base.name);
    if (direction === 'unmerge') for (const adapter of adapters) checkUnmerge(adapter);
    this.name = base.name;
    this.#weights = weights;
    this.#adapters = adapters;
    this.#direction = direction;
    this.#type = type;
    const width = type === 'F32' ? 4 : 2;
    this.tensors = new Map(
      [...phiTensors(base.config)].map(([name, shape]) => {
        const byteLength = width * shape.reduce((product, each) => product * each, 1);
        return [name, { name, dtype: type, shape, byteLength, byteOffset: 0, file: '' }];
      }),
    );
  }

  /** Before rounding. */
  async exact(name: string): Promise<Float32Array> {
    const values = isBitsandbytesWeight(name, this.#weights)
      ? dequantizeNf4(await fromBitsandbytes(name, this.#weights))
      : await this.#weights.readFloat32(name);
    for (const adapter of this.#adapters) mergeAdapter(adapter, name, values, this.#direction);
    return values;
  }

  async readBytes(name: string): Promise<Uint8Array> {
    return fromFloat32(await this.exact(name), this.#type);
  }

  readFloat32(name: string): Promise<Float32Array> {
    return this.exact(name);
  }

  /** The same after rounding to the format. */
  rounded(): TensorSource {
    const { name, tensors } = this;
    const readBytes = (tensor: string) => this.readBytes(tensor);
    const readFloat32 = async (tensor: string) =>
      toFloat32(await this.readBytes(tensor), this.#type);
    return { name, tensors, readBytes, readFloat32, close: async () => {} };
  }

  async close(): Promise<void> {}
}
