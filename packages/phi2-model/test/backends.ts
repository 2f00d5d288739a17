import { type Backend, createReferenceBackend } from '@qlorajs/compute';
import { createWasmBackend } from '@qlorajs/compute-wasm';

/** How far from Python's f32 a backend may be. */
export interface GoldenTolerance {
  /** Logits and hidden states. */
  readonly absolute: number;
  /** Gradients, relative to a tensor's largest entry. */
  readonly gradient: number;
  /** Losses of a trajectory. */
  readonly loss: number;
}

const F32: GoldenTolerance = { absolute: 2e-4, gradient: 1e-3, loss: 1e-4 };

/** The backends that the model's tests run on. */
export const backends: readonly {
  readonly name: string;
  readonly create: () => Promise<Backend>;
  readonly tolerance: GoldenTolerance;
}[] = [
  { name: 'reference', create: async () => createReferenceBackend(), tolerance: F32 },
  { name: 'wasm', create: () => createWasmBackend({ threads: 2 }), tolerance: F32 },
];
