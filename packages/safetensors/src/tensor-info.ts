import type { SafetensorsDtype } from './dtypes.js';

/** A tensor to be written. */
export interface TensorInfo {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
}

/** A tensor of an open file. */
export interface TensorEntry {
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  /** Of its first byte, counted from the start of the file. */
  readonly byteOffset: number;
  readonly byteLength: number;
}
