import {
  type Backend,
  counterKey,
  counterNormal,
  type LinearArgs,
  type LinearWeight,
  tensorFrom,
} from '@qlorajs/compute';
import { uploadNf4 } from '@qlorajs/phi2-model';
import { quantizeNf4 } from '@qlorajs/quant-nf4';
import { fastest } from './measure.js';

export interface GemmRequest {
  readonly kind: 'f32' | 'nf4';
  /** Rows of x. */
  readonly m: number;
  /** Rows of the weight `[n, k]`. */
  readonly n: number;
  readonly k: number;
  readonly seconds: number;
}

function normal(size: number, seed: number, scale: number): Float32Array {
  const key = counterKey(seed, 1);
  return Float32Array.from({ length: size }, (_, i) => scale * counterNormal(key, i));
}

/** x `[m, k]` times a weight `[n, k]`, in f32 or dequantized from NF4 inside the product. */
export function gemmPart(backend: Backend) {
  const prepared = new Map<string, LinearArgs>();

  const prepare = (kind: 'f32' | 'nf4', m: number, n: number, k: number): LinearArgs => {
    const x = tensorFrom(backend, normal(m * k, 1, 1), [m, k]);
    const values = normal(n * k, 2, 0.02);
    const shape = [n, k] as const;
    const weight: LinearWeight =
      kind === 'f32'
        ? { kind: 'dense', shape, values: tensorFrom(backend, values, shape) }
        : uploadNf4(backend, 'weight', quantizeNf4(values, { shape }));
    return { x, weight, bias: null, out: backend.empty('f32', [m, n]), accumulate: false };
  };

  return {
    facts: {},
    async sample({ kind, m, n, k, seconds }: GemmRequest) {
      const key = `${kind} ${m}x${n}x${k}`;
      const args = prepared.get(key) ?? prepare(kind, m, n, k);
      prepared.set(key, args);
      const timing = await fastest(() => backend.ops.linear(args), seconds);
      return { ...timing, gflops: (2 * m * n * k) / timing.ms / 1e6 };
    },
  };
}
