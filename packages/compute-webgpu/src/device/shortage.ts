/// <reference types="@webgpu/types" />
import { QLoraError } from '@qlorajs/errors';

/** What the driver said when it had no memory for a buffer. */
export interface Refusal {
  readonly refused: string;
}

/** Buffers that were made in one go. */
interface Group {
  readonly buffers: Set<GPUBuffer>;
  /** Whether the driver's answer about them is on its way. */
  asked: boolean;
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

/**
 * Asks the driver for buffers, and finds out which ones it had no memory for.
 *
 * Dawn in Node tells while `createBuffer` runs: the buffer is never used, which without Dawn's validation
 * would end the process. A browser tells later, and commands on such a buffer do nothing: from then on
 * every call throws, until the buffers that were made in the same go have been destroyed. Errors come in
 * the order of the calls, so an empty error scope after some buffers answers once they are known to be good.
 */
export class Shortage {
  readonly #device: GPUDevice;
  /** Buffers not yet known to have memory, the earliest first. */
  readonly #unknown: Group[] = [];
  readonly #refused = new Set<GPUBuffer>();
  #error: QLoraError | null = null;
  #making = false;
  #told: string | null = null;
  #settling: Promise<void> = Promise.resolve();
  /** Answers about commands on buffers that are gone by now are under way. */
  #aftermath = 0;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** A buffer, or why there is none. */
  create(descriptor: GPUBufferDescriptor): GPUBuffer | Refusal {
    this.#told = null;
    this.#making = true;
    let buffer: GPUBuffer;
    try {
      buffer = this.#device.createBuffer(descriptor);
    } catch (error) {
      // Memory that is mapped at once is refused so.
      if (!(error instanceof RangeError)) throw error;
      this.#told ??= error.message;
      return { refused: this.#told };
    } finally {
      this.#making = false;
    }
    if (this.#told !== null) return { refused: this.#told };
    this.#await(buffer);
    return buffer;
  }

  /** @throws QLoraError `COMPUTE_OUT_OF_MEMORY` */
  need(descriptor: GPUBufferDescriptor): GPUBuffer {
    const made = this.create(descriptor);
    if (!('refused' in made)) return made;
    const { label, size } = descriptor;
    throw outOfMemory(`a buffer of ${size} bytes (${label})`, made.refused, { label, bytes: size });
  }

  /**
   * The device has run out of memory.
   * @returns false when it is not known for which buffer
   */
  tell(message: string): boolean {
    if (this.#making) {
      this.#told = message;
      return true;
    }
    const suspects = this.#unknown[0]?.buffers;
    if (!suspects?.size) return false;
    for (const buffer of suspects) this.#refused.add(buffer);
    const labels = [...suspects].map(({ label }) => label);
    const what = labels.length === 1 ? labels[0] : `one of ${labels.length} new buffers`;
    this.#error ??= outOfMemory(what, message, { labels });
    return true;
  }

  /** To be thrown by every call while buffers are there that were refused. */
  get error(): QLoraError | null {
    return this.#error;
  }

  /** Whether an error of a command may come of a buffer that was refused. */
  get explainsErrors(): boolean {
    return this.#error !== null || this.#aftermath > 0;
  }

  isRefused(buffer: GPUBuffer): boolean {
    return this.#refused.has(buffer);
  }

  /** A buffer is about to be destroyed. */
  forget(buffer: GPUBuffer): void {
    for (const { buffers } of this.#unknown) buffers.delete(buffer);
    if (!this.#refused.delete(buffer) || this.#refused.size > 0) return;
    this.#error = null;
    this.#aftermath++;
    void this.#answer().then(() => this.#aftermath--);
  }

  /** Waits until it is known of every buffer made so far. */
  async settled(): Promise<void> {
    while (this.#unknown.length > 0) await this.#settling;
  }

  #await(buffer: GPUBuffer): void {
    const last = this.#unknown.at(-1);
    if (last && !last.asked) {
      last.buffers.add(buffer);
      return;
    }
    const group: Group = { buffers: new Set([buffer]), asked: false };
    this.#unknown.push(group);
    // Those that are made before the caller next waits are one group.
    this.#settling = Promise.resolve()
      .then(() => {
        group.asked = true;
        return this.#answer();
      })
      .then(() => void this.#unknown.splice(this.#unknown.indexOf(group), 1));
  }

  /** Resolves after the news of everything that was called so far. */
  #answer(): Promise<unknown> {
    this.#device.pushErrorScope('out-of-memory');
    return this.#device.popErrorScope().catch(() => {}); // a lost device: reported by Faults
  }
}
