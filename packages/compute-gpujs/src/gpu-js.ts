/**
 * The class `GPU` of gpu.js (https://gpu.rocks). The app hands it in, so a library never pulls its
 * 88 MB unasked.
 */
export type GpuJsConstructor = new (settings?: never) => object;

/** What this package uses of an instance. */
export interface GpuJs {
  createKernel(source: string, settings: Record<string, unknown>): GpuJsKernel;
  addFunction(source: string, settings: Record<string, unknown>): unknown;
  destroy(): unknown;
}

/** A compiled kernel; `setOutput` says how many cells the next call computes. */
export interface GpuJsKernel {
  (...args: readonly KernelArgument[]): Cells;
  setOutput(output: readonly number[]): unknown;
  /** The object behind the shortcut; webasm mode keeps this many modules, one for each size of arguments. */
  readonly kernel?: { moduleCacheLimit?: number };
}

/** A result that stays on the device (gpu.js calls it a pipeline's texture). */
export interface GpuJsTexture {
  toArray(): Float32Array;
  delete(): void;
}

/** The cells of a storage or of a result: a texture in WebGL modes, an array in the others. */
export type Cells = Float32Array | GpuJsTexture;

export type KernelArgument = Cells | number;

export function isTexture(cells: Cells): cells is GpuJsTexture {
  return !(cells instanceof Float32Array);
}
