/// <reference types="@webgpu/types" />
import { QLoraError } from '@qlorajs/errors';

/**
 * WebGPU reports errors later than the call that caused them. The first one is kept and thrown by
 * the next call into the backend, so that no result is handed out after a failure.
 */
export class Faults {
  #error: QLoraError | null = null;
  #closing = false;

  watch(device: GPUDevice): void {
    device.onuncapturederror = ({ error }) => {
      this.raise(
        new QLoraError('WEBGPU_ERROR', `the GPU refused a command: ${error.message}`, {
          kind: 'runtime',
        }),
      );
    };
    void device.lost.then(({ reason, message }) => {
      if (this.#closing) return;
      this.raise(
        new QLoraError(
          'WEBGPU_DEVICE_LOST',
          `the GPU device was lost (${reason || 'no reason given'}): ${message}; start again, and with a smaller batch if it was a time-out or memory`,
          { kind: 'runtime', details: { reason, message } },
        ),
      );
    });
  }

  raise(error: QLoraError): void {
    this.#error ??= error;
  }

  /**
   * After a rejected promise: the news of a lost device may come later than what it made fail.
   * @throws the first failure, if there was one.
   */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 10 && !this.#error; turn++)
      await new Promise((resolve) => setTimeout(resolve, 5));
    this.check();
  }

  /** @throws the first failure, if there was one. */
  check(): void {
    if (this.#error) throw this.#error;
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
