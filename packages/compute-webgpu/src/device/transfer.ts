/// <reference types="@webgpu/types" />
import { BYTES_PER_ELEMENT, byteLengthOf, type Tensor, type TensorData } from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';
import type { Faults } from './faults.js';
import { type KernelSpec, write } from './kernel.js';
import type { Recorder } from './recorder.js';
import type { Shortage } from './shortage.js';
import { storageOf } from './storage.js';
import { BufferUsage, MAP_MODE_READ } from './usage.js';

/** Replaces the bits of one word under a mask: WebGPU copies whole words only. */
const MERGE_WORD: KernelSpec<'words', 'at' | 'mask' | 'value'> = {
  key: 'mergeWord',
  bindings: { words: write('u32') },
  params: { at: 'u32', mask: 'u32', value: 'u32' },
  body: /* wgsl */ `
@compute @workgroup_size(1)
fn main() {
  words[p.at] = (words[p.at] & ~p.mask) | p.value;
}`,
};

/** Copies between host and device. */
export class Transfer {
  readonly #device: GPUDevice;
  readonly #recorder: Recorder;
  readonly #faults: Faults;
  readonly #shortage: Shortage;
  readonly #staging: GPUBuffer[] = [];

  constructor(device: GPUDevice, recorder: Recorder, faults: Faults, shortage: Shortage) {
    this.#device = device;
    this.#recorder = recorder;
    this.#faults = faults;
    this.#shortage = shortage;
  }

  /** Writes from element `offset` of the tensor on, in order with the operations. */
  write(tensor: Tensor, data: TensorData, offset: number): void {
    this.#faults.check();
    const unit = BYTES_PER_ELEMENT[tensor.dtype];
    if (data.BYTES_PER_ELEMENT !== unit || offset + data.length > tensor.size)
      throw new QLoraError(
        'COMPUTE_SHAPE',
        `write: ${data.length} elements of ${data.BYTES_PER_ELEMENT} bytes at ${offset} do not fit ${tensor.dtype} [${tensor.shape}]`,
        { kind: 'runtime', details: { label: tensor.label, shape: tensor.shape, offset } },
      );
    if (data.length === 0) return;
    this.#recorder.spoilTape();
    const storage = storageOf(tensor);
    if (this.#recorder.isPending(storage)) this.#recorder.flush();
    storage.version++;
    const start = (tensor.offset + offset) * unit;
    const bytes = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
    const end = start + bytes.length;
    const firstWord = Math.ceil(start / 4) * 4;
    const lastWord = Math.floor(end / 4) * 4;
    if (firstWord < lastWord)
      this.#device.queue.writeBuffer(
        storage.buffer,
        firstWord,
        bytes,
        firstWord - start,
        lastWord - firstWord,
      );
    // The words at both ends that the data covers in part.
    for (const word of new Set([Math.floor(start / 4) * 4, lastWord])) {
      if ((word >= firstWord && word < lastWord) || word >= end) continue;
      let [mask, value] = [0, 0];
      for (let i = Math.max(word, start); i < Math.min(word + 4, end); i++) {
        mask |= 0xff << (8 * (i - word));
        value |= bytes[i - start] << (8 * (i - word));
      }
      const words: Tensor = { ...tensor, dtype: 'u32', offset: 0, size: storage.bytes / 4 };
      this.#recorder.dispatch(MERGE_WORD, { words }, { at: word / 4, mask, value }, [1]);
    }
  }

  /** The bytes of the tensor's elements, after everything recorded so far. */
  async read(tensor: Tensor): Promise<Uint8Array<ArrayBuffer>> {
    const storage = storageOf(tensor);
    const start = tensor.offset * BYTES_PER_ELEMENT[tensor.dtype];
    const from = Math.floor(start / 4) * 4;
    const end = start + byteLengthOf(tensor);
    const bytes = Math.ceil((end - from) / 4) * 4;
    if (bytes === 0) return new Uint8Array(0);
    const staging = this.#take(bytes);
    this.#recorder.copyOut(storage, from, staging, bytes);
    this.#recorder.flushToWait();
    try {
      await staging.mapAsync(MAP_MODE_READ, 0, bytes);
    } catch (cause) {
      this.#drop(staging);
      await this.#faults.settle();
      throw new QLoraError(
        'WEBGPU_ERROR',
        `read of ${tensor.label || 'a tensor'} failed: ${cause}`,
        {
          kind: 'runtime',
          cause,
        },
      );
    }
    const copy = new Uint8Array(staging.getMappedRange(0, bytes).slice(start - from, end - from));
    staging.unmap();
    try {
      await this.#faults.checkSettled();
    } catch (error) {
      this.#drop(staging);
      throw error;
    }
    this.#staging.push(staging);
    return copy;
  }

  dispose(): void {
    for (const buffer of this.#staging.splice(0)) this.#drop(buffer);
  }

  #drop(buffer: GPUBuffer): void {
    this.#shortage.forget(buffer);
    buffer.destroy();
  }

  /** A buffer to map, of at least `bytes`; used ones come back after the read. */
  #take(bytes: number): GPUBuffer {
    const known = this.#staging.findIndex(({ size }) => size >= bytes && size <= 4 * bytes + 4096);
    if (known >= 0) return this.#staging.splice(known, 1)[0];
    if (this.#staging.length >= 4) this.#drop(this.#staging.shift()!);
    const { MAP_READ, COPY_DST } = BufferUsage;
    return this.#shortage.need({ size: bytes, usage: MAP_READ | COPY_DST, label: 'read' });
  }
}
