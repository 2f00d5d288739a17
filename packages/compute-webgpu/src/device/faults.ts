/// <reference types="@webgpu/types" />
import { QLoraError } from '@qlorajs/errors';
import type { Shortage } from './shortage.js';

/** What drivers say when memory was the cause. */
const MEMORY = /out.of.(device.|host.)?memory|E_OUTOFMEMORY/i;

/**
 * WebGPU reports errors later than the call that caused them. The first one is kept and thrown by
 * the next call into the backend, so that no result is handed out after a failure. Only a shortage of
 * memory passes: see {@link Shortage}.
 */
export class Faults {
  readonly #shortage: Shortage;
  #error: QLoraError | null = null;
  #closing = false;

  constructor(shortage: Shortage) {
    this.#shortage = shortage;
  }

  watch(device: GPUDevice): void {
    device.onuncapturederror = (event) => {
      event.preventDefault(); // Dawn in Node would write it to stdout.
      this.#take(event.error);
    };
    void device.lost.then(({ reason, message }) => {
      if (this.#closing) return;
      const isMemory = MEMORY.test(message);
      const why = isMemory ? 'out of memory' : reason || 'no reason given';
      this.raise(
        new QLoraError(
          'WEBGPU_DEVICE_LOST',
          `the GPU device was lost (${why}): ${message.split('\n')[0]}; start again, and with a smaller batch if it was a time-out or memory`,
          { kind: 'runtime', details: { reason, message, outOfMemory: isMemory } },
        ),
      );
    });
  }

  #take(error: GPUError): void {
    const shortage = this.#shortage;
    if (error.constructor.name === 'GPUOutOfMemoryError') {
      shortage.tell(error.message.split('\n')[0]);
      return;
    }
    const raise = () => {
      if (shortage.explainsErrors) return;
      const message = `the GPU refused a command: ${error.message}`;
      this.raise(new QLoraError('WEBGPU_ERROR', message, { kind: 'runtime' }));
    };
    if (shortage.isSettled) raise();
    else void shortage.settled().then(raise);
  }

  raise(error: QLoraError): void {
    this.#error ??= error;
  }

  /**
   * After a rejected promise: the news of a lost device may come later than what it made fail.
   * @throws the first failure, if there was one.
   */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 10 && !this.#error && !this.#shortage.error; turn++)
      await new Promise((resolve) => setTimeout(resolve, 5));
    this.check();
  }

  /** @throws the first failure, if there was one, or the shortage that lasts. */
  check(): void {
    const error = this.#error ?? this.#shortage.error;
    if (error) throw error;
  }

  /** {@link check}, once it is known whether there was memory for every buffer. */
  async checkSettled(): Promise<void> {
    await this.#shortage.settled();
    this.check();
  }

  /** From here on, losing the device is no failure; using the backend is. */
  close(): void {
    this.#closing = true;
    this.raise(
      new QLoraError('WEBGPU_DISPOSED', 'the backend was disposed; make a new one', {
        kind: 'runtime',
      }),
    );
  }
}
