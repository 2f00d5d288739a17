// The control block in the first page of the memory, in words of 4 bytes. Kept in step with
// assembly/control.ts. Words that different threads write lie on cache lines of their own.

/** Odd while an operation is open for workers to join. */
export const TICKET = 0;
/** Workers inside an operation. */
export const ACTIVE = 16;
/** The next chunk that nobody has taken. */
export const NEXT_CHUNK = 32;
/** Workers that sleep on TICKET. */
export const SLEEPERS = 48;
/** 1 while the caller sleeps on ACTIVE. */
export const CALLER_SLEEPS = 49;
export const CHUNKS = 64;
export const SHARED_SCRATCH = 65;
export const THREAD_SCRATCH = 66;
export const THREAD_SCRATCH_BYTES = 67;
/** Index of the running kernel in {@link KERNELS}. */
export const KERNEL = 68;
/** 1 when a worker's kernel trapped. */
export const FAILED = 69;
export const INTEGERS = 80;
export const FLOATS = 128;
/** Words that the block takes. */
export const CONTROL_WORDS = 160;

/** The kernels that threads run, by index. */
export const KERNELS = [
  'adamw',
  'adamw8bit',
  'attention',
  'attentionBackward',
  'attentionRow',
  'axpby',
  'clipScale',
  'crossEntropy',
  'dequantizeNf4',
  'dropout',
  'fewRows',
  'fill',
  'gatherRows',
  'gelu',
  'geluBackward',
  'gemm',
  'gemv',
  'layerNorm',
  'layerNormBackward',
  'packA',
  'quantizeNf4',
  'rotary',
  'scatterAddRows',
  'scatterRows',
  'sumSquaresPart',
  'sumSquaresTotal',
  'scaleColumns',
  'columnSums',
  'inverseRowNorms',
] as const;

export type Kernel = (typeof KERNELS)[number];

/** The index of each kernel. */
export const KERNEL_INDEX = Object.fromEntries(
  KERNELS.map((name, index) => [name, index]),
) as Readonly<Record<Kernel, number>>;
