/// <reference types="@webgpu/types" />
import {
  BYTES_PER_ELEMENT,
  byteLengthOf,
  type Tensor,
  type TensorData,
  type Uploads,
} from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';
import type { Faults } from './faults.js';
import type { Recorder } from './recorder.js';
import type { Shortage } from './shortage.js';
import { storageOf } from './storage.js';
import { BufferUsage, MAP_MODE_WRITE } from './usage.js';

/** Bytes of a buffer of the ring. */
const SLOT = 2 ** 24;
/** Buffers at most: the host is at most so far ahead of the device. */
const MOST = 8;

/** A buffer of host memory that the device copies from; filled from its start on. */
interface Slot {
  readonly buffer: GPUBuffer;
  mapped: Uint8Array<ArrayBuffer>;
  used: number;
}

interface Copy {
  readonly slot: Slot;
  readonly from: number;
  readonly target: GPUBuffer;
  readonly to: number;
  readonly bytes: number;
}

/**
 * Writes of many bytes, through a ring of mapped buffers. `queue.writeBuffer` takes new memory for every
 * large write, which costs the host three times what copying does; and here the device first gets
 * all that was recorded, so that it works while the host copies.
 */
export class UploadRing implements Uploads {
  readonly #device: GPUDevice;
  readonly #recorder: Recorder;
  readonly #faults: Faults;
  readonly #shortage: Shortage;
  readonly #fallback: (tensor: Tensor, data: TensorData) => void;
  /** Mapped and empty. */
  readonly #free: Slot[] = [];
  /** Those that the device copies from, until they are mapped again. */
  readonly #away = new Set<Promise<void>>();
  #current: Slot | null = null;
  #copies: Copy[] = [];
  #made: GPUBuffer[] = [];

  /** @param fallback writes what the ring has no room for */
  constructor(
    device: GPUDevice,
    recorder: Recorder,
    faults: Faults,
    shortage: Shortage,
    fallback: (tensor: Tensor, data: TensorData) => void,
  ) {
    this.#device = device;
    this.#recorder = recorder;
    this.#faults = faults;
    this.#shortage = shortage;
    this.#fallback = fallback;
    recorder.beforeSubmit = () => this.submit();
  }

  room(bytes: number): Promise<void> | null {
    const wanted = Math.min(bytes, (MOST - 1) * SLOT);
    while (this.#capacity < wanted && this.#grow());
    return this.#capacity < wanted ? this.#wait(wanted) : null;
  }

  /** @throws QLoraError `COMPUTE_SHAPE` unless the data are the whole tensor */
  write(tensor: Tensor, data: TensorData): void {
    this.#faults.check();
    if (data.byteLength !== byteLengthOf(tensor))
      throw new QLoraError(
        'COMPUTE_SHAPE',
        `upload: ${data.byteLength} bytes are not ${tensor.dtype} [${tensor.shape}]`,
        { kind: 'runtime', details: { label: tensor.label, shape: tensor.shape } },
      );
    const bytes = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
    const storage = storageOf(tensor);
    const start = tensor.offset * BYTES_PER_ELEMENT[tensor.dtype];
    const isWhole =
      start % 4 === 0 && (bytes.length % 4 === 0 || start + bytes.length + 3 >= storage.bytes);
    if (this.#copies.length === 0 || this.#recorder.isPending(storage)) this.#recorder.flush();
    if (!isWhole || this.#capacity < bytes.length + 4) {
      this.submit();
      this.#fallback(tensor, data);
      return;
    }
    this.#recorder.spoilTape();
    storage.version++;
    for (let at = 0; at < bytes.length; ) {
      this.#current ??= this.#free.shift()!;
      const slot = this.#current;
      const part = bytes.subarray(at, at + SLOT - slot.used);
      const words = Math.ceil(part.length / 4) * 4;
      slot.mapped.set(part, slot.used);
      const target = storage.buffer;
      this.#copies.push({ slot, from: slot.used, target, to: start + at, bytes: words });
      slot.used += words;
      at += part.length;
      if (slot.used === SLOT) this.#current = null;
    }
  }

  /** Has the device copy what was written. */
  submit(): void {
    if (this.#copies.length === 0) return;
    const slots = new Set(this.#copies.map(({ slot }) => slot));
    const encoder = this.#device.createCommandEncoder();
    for (const { buffer } of slots) buffer.unmap();
    for (const { slot, from, target, to, bytes } of this.#copies)
      encoder.copyBufferToBuffer(slot.buffer, from, target, to, bytes);
    this.#device.queue.submit([encoder.finish()]);
    this.#copies = [];
    this.#current = null;
    for (const slot of slots) {
      const back = slot.buffer.mapAsync(MAP_MODE_WRITE).then(
        () => {
          slot.mapped = new Uint8Array(slot.buffer.getMappedRange());
          slot.used = 0;
          this.#free.push(slot);
        },
        () => {}, // a lost device: reported by Faults
      );
      this.#away.add(back);
      void back.then(() => this.#away.delete(back));
    }
  }

  dispose(): void {
    for (const buffer of this.#made.splice(0)) buffer.destroy();
  }

  get #capacity(): number {
    return this.#free.length * SLOT + (this.#current ? SLOT - this.#current.used : 0);
  }

  async #wait(wanted: number): Promise<void> {
    this.#recorder.flush();
    while (this.#capacity < wanted && this.#away.size > 0) await Promise.race(this.#away);
  }

  #grow(): boolean {
    if (this.#made.length === MOST) return false;
    const { MAP_WRITE, COPY_SRC } = BufferUsage;
    const usage = MAP_WRITE | COPY_SRC;
    const descriptor = { size: SLOT, usage, mappedAtCreation: true, label: 'upload' };
    const buffer = this.#shortage.create(descriptor);
    if ('refused' in buffer) return false;
    this.#made.push(buffer);
    this.#free.push({ buffer, mapped: new Uint8Array(buffer.getMappedRange()), used: 0 });
    return true;
  }
}
