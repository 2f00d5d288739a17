import type { Backend, DType, Tensor } from '@qlorajs/compute';
import { sizeOf } from '@qlorajs/compute';

/**
 * Named device buffers that grow to the largest shape asked for and are reused ever after, so that
 * a training step allocates nothing once the longest batch has passed.
 */
export class Workspace {
  readonly backend: Backend;
  readonly #buffers = new Map<string, Tensor>();

  constructor(backend: Backend) {
    this.backend = backend;
  }

  /** A tensor of `shape` in the buffer called `name`; what it holds is left from its last use. */
  get(name: string, shape: readonly number[], dtype: DType = 'f32'): Tensor {
    const size = sizeOf(shape);
    let buffer = this.#buffers.get(name);
    if (!buffer || buffer.size < size) {
      this.#buffers.delete(name); // Should there be no room for the larger one.
      if (buffer) this.backend.free(buffer);
      buffer = this.backend.empty(dtype, [size], name);
      this.#buffers.set(name, buffer);
    }
    return this.backend.view(buffer, 0, shape);
  }

  /** The buffer called `name`, holding these integers. */
  integers(name: string, values: Int32Array, shape: readonly number[] = [values.length]): Tensor {
    const tensor = this.get(name, shape, 'i32');
    this.backend.write(tensor, values);
    return tensor;
  }

  dispose(): void {
    for (const buffer of this.#buffers.values()) this.backend.free(buffer);
    this.#buffers.clear();
  }
}
