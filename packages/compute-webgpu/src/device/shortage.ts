/// <reference types="@webgpu/types" />
import { QLoraError } from '@qlorajs/errors';
import { BufferUsage } from './usage.js';

/** What the driver said when it had no memory for a buffer. */
export interface Refusal {
  readonly refused: string;
}

/** The error of an allocation that the driver refused; `what` says what for. */
export function outOfMemory(
  what: string,
  reason: string,
  details: Record<string, unknown>,
): QLoraError {
  return new QLoraError(
    'COMPUTE_OUT_OF_MEMORY',
    `no room for ${what}: ${reason}; use a smaller batch or a shorter sequence, or close other programs that use the GPU`,
    { kind: 'runtime', details: { ...details, reason } },
  );
}

/** Milliseconds after an answer in which errors of earlier commands still come: they come in no order. */
const AFTERMATH = 200;
const NOTHING = new Uint8Array(0);

/**
 * Asks the driver for buffers, and finds out which ones it had no memory for.
 *
 * Dawn in Node tells while `createBuffer` runs, as long as no error scope is open: the buffer is never used,
 * which without Dawn's validation would end the process. A browser goes on with an invalid buffer, which
 * commands refuse. There an empty write to each new buffer, in an error scope, tells whether it is valid;
 * if not, every call throws until it has been destroyed.
 */
export class Shortage {
  readonly #device: GPUDevice;
  readonly #refused = new Set<GPUBuffer>();
  #error: QLoraError | null = null;
  #told: string | null = null;
  readonly #asked = new Set<Promise<void>>();
  /** Destroyed: what is told of them later does not matter. */
  readonly #gone = new WeakSet<GPUBuffer>();
  /** Errors of commands on buffers that are gone by now may still come. */
  #aftermath = 0;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** A buffer, or why there is none. */
  create(descriptor: GPUBufferDescriptor): GPUBuffer | Refusal {
    this.#told = null;
    try {
      const buffer = this.#device.createBuffer(descriptor);
      if (this.#told !== null) return { refused: this.#told };
      if (descriptor.usage & BufferUsage.COPY_DST) {
        const answer = this.#ask(buffer, descriptor);
        this.#asked.add(answer);
        void answer.then(() => this.#asked.delete(answer));
      }
      return buffer;
    } catch (error) {
      // Memory that is mapped at once is refused so.
      if (!(error instanceof RangeError)) throw error;
      return { refused: this.#told ?? error.message };
    }
  }

  /** @throws QLoraError `COMPUTE_OUT_OF_MEMORY` */
  need(descriptor: GPUBufferDescriptor): GPUBuffer {
    const made = this.create(descriptor);
    if (!('refused' in made)) return made;
    const { label, size } = descriptor;
    throw outOfMemory(`a buffer of ${size} bytes (${label})`, made.refused, { label, bytes: size });
  }

  /** The device has run out of memory: for the buffer that is being made, or for an earlier one. */
  tell(message: string): void {
    this.#told = message;
  }

  /** To be thrown by every call while buffers are there that were refused. */
  get error(): QLoraError | null {
    return this.#error;
  }

  /** Whether an error of a command may come of a buffer that was refused. */
  get explainsErrors(): boolean {
    return this.#error !== null || this.#aftermath > 0;
  }

  /** Whether it is known of every buffer that it is valid, or not. */
  get isSettled(): boolean {
    return this.#asked.size === 0;
  }

  /** Waits until it is. */
  async settled(): Promise<void> {
    while (!this.isSettled) await Promise.all(this.#asked);
  }

  isRefused(buffer: GPUBuffer): boolean {
    return this.#refused.has(buffer);
  }

  /** A buffer is about to be destroyed. */
  forget(buffer: GPUBuffer): void {
    this.#gone.add(buffer);
    if (!this.#refused.delete(buffer) || this.#refused.size > 0) return;
    this.#error = null;
    this.#aftermath++;
    const end = () => setTimeout(() => this.#aftermath--, AFTERMATH);
    this.#device.pushErrorScope('validation');
    this.#device.popErrorScope().then(end, end);
  }

  /** In a browser: whether a new buffer is valid. */
  async #ask(buffer: GPUBuffer, { label, size }: GPUBufferDescriptor): Promise<void> {
    this.#device.pushErrorScope('validation');
    this.#device.queue.writeBuffer(buffer, 0, NOTHING);
    // A lost device is reported by Faults.
    const error = await this.#device.popErrorScope().catch(() => null);
    if (!error || this.#gone.has(buffer)) return;
    this.#refused.add(buffer);
    const reason = this.#told ?? 'the driver has no memory left';
    this.#error ??= outOfMemory(`${label || 'a buffer'} of ${size} bytes`, reason, { label, size });
  }
}
