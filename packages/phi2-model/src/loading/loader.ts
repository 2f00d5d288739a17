import type { Backend, DType, Tensor } from '@qlorajs/compute';
import type { TensorSource } from '@qlorajs/safetensors';
import type { LoadOptions } from './options.js';

/** Bytes that are read, and on the way to the device, at one time; a multiple of any block. */
export const PIECE = 16 * 2 ** 20;
/** Bytes on the way to the device after which they are waited for: they are host memory, too. */
const MOST_ON_THE_WAY = 4 * PIECE;

/** What is shared while one checkpoint is loaded. */
export class Loader {
  readonly backend: Backend;
  readonly source: TensorSource;
  readonly options: LoadOptions;
  readonly #made: Tensor[] = [];
  #staging: Tensor | null = null;
  #peakHostBytes = 0;
  #onTheWay = 0;

  constructor(backend: Backend, source: TensorSource, options: LoadOptions) {
    this.backend = backend;
    this.source = source;
    this.options = options;
  }

  /** Largest sum of host bytes held at once for one tensor. */
  get peakHostBytes(): number {
    return this.#peakHostBytes;
  }

  holds(hostBytes: number): void {
    this.#peakHostBytes = Math.max(this.#peakHostBytes, hostBytes);
  }

  empty(dtype: DType, shape: readonly number[], label: string): Tensor {
    const tensor = this.backend.empty(dtype, shape, label);
    this.#made.push(tensor);
    return tensor;
  }

  write(tensor: Tensor, data: Parameters<Backend['write']>[1]): void {
    this.backend.write(tensor, data);
  }

  free(tensor: Tensor): void {
    this.#made.splice(this.#made.indexOf(tensor), 1);
    this.backend.free(tensor);
  }

  /** u8 `[bytes]` on the device for bytes as they are stored. */
  staging(bytes: number): Tensor {
    if (this.#staging && this.#staging.size < bytes) this.finish();
    this.#staging ??= this.backend.empty('u8', [bytes], 'staging');
    return this.backend.view(this.#staging, 0, [bytes]);
  }

  /**
   * Calls `use` for a tensor's bytes piece by piece, as they are stored; the next piece is read
   * meanwhile.
   */
  async eachPiece(name: string, use: (bytes: Uint8Array, start: number) => void): Promise<void> {
    const { byteLength } = this.source.tensors.get(name)!;
    const read = (offset: number) => {
      const length = Math.min(PIECE, byteLength - offset);
      return this.source.readBytes(name, { offset, length });
    };
    let next = read(0);
    for (let start = 0; start < byteLength; start += PIECE) {
      const bytes = await next;
      if (start + PIECE < byteLength) {
        next = read(start + PIECE);
        next.catch(() => {}); // told when its turn comes
      }
      use(bytes, start);
      await this.pace(bytes.length);
      this.options.signal?.throwIfAborted();
    }
  }

  /** Counts bytes that were sent to the device, and waits when there are many of them. */
  async pace(bytes: number): Promise<void> {
    this.#onTheWay += bytes;
    if (this.#onTheWay < MOST_ON_THE_WAY) return;
    this.#onTheWay = 0;
    await this.backend.sync();
  }

  /** Leaves tensors to another owner. */
  give(tensors: readonly Tensor[]): void {
    for (const tensor of tensors) this.#made.splice(this.#made.indexOf(tensor), 1);
  }

  /** Gives the staging buffer back. */
  finish(): void {
    if (this.#staging) this.backend.free(this.#staging);
    this.#staging = null;
  }

  /** Gives everything back, after a failure. */
  abandon(): void {
    this.finish();
    for (const tensor of this.#made.splice(0)) this.backend.free(tensor);
  }
}
