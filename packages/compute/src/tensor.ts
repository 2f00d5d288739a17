import { QLoraError } from '@qlorajs/errors';

/** Element types that cross the compute interface. `f16` and `u8` are storage only: arithmetic is f32. */
export type DType = 'f32' | 'f16' | 'u8' | 'i32' | 'u32';

/** Bytes of one element. */
export const BYTES_PER_ELEMENT: Readonly<Record<DType, number>> = {
  f32: 4,
  f16: 2,
  u8: 1,
  i32: 4,
  u32: 4,
};

/**
 * A dense, row-major array that lives on a backend's device. Plain data: only the backend that made
 * it knows what `storage` is. A view shares the storage of its parent at another `offset`.
 */
export interface Tensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Product of `shape`. */
  readonly size: number;
  /** First element inside `storage`, counted in elements. */
  readonly offset: number;
  readonly storage: unknown;
  readonly label: string;
}

/** A trainable array and its gradient: both f32 and of one shape. */
export interface Parameter {
  readonly name: string;
  readonly value: Tensor;
  readonly grad: Tensor;
}

/** What `write` takes: the typed array that fits a tensor's dtype (`f16` travels as its raw bits). */
export type TensorData = Float32Array | Uint16Array | Uint8Array | Int32Array | Uint32Array;

/** Product of a shape's dimensions; 1 for a scalar. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}

/** Bytes that a tensor's elements take. */
export function byteLengthOf(tensor: Pick<Tensor, 'dtype' | 'size'>): number {
  return tensor.size * BYTES_PER_ELEMENT[tensor.dtype];
}

/** @throws {@link QLoraError} `COMPUTE_SHAPE` unless the tensor has `dtype` and holds `size` elements. */
export function expectTensor(
  op: string,
  name: string,
  tensor: Tensor,
  dtype: DType,
  size: number,
): void {
  if (tensor.dtype === dtype && tensor.size === size) return;
  throw new QLoraError(
    'COMPUTE_SHAPE',
    `${op}: ${name} must be ${dtype} of ${size} elements, got ${tensor.dtype} [${tensor.shape}]`,
    { kind: 'runtime', details: { op, name, dtype, size, shape: tensor.shape } },
  );
}
