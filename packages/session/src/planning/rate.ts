import { type Backend, createCountingBackend, type LinearWeight } from '@qlorajs/compute';
import type { PhiConfig } from '@qlorajs/phi2-model';

/** Rows of the product that is timed: near a training batch's, and short. */
const ROWS = 256;
/** A step does more than products: passes over activations, the loss, the optimizer. */
const PRODUCTS_SHARE = 0.75;

/** Multiply-adds a second of engines that cannot be asked: measured on two cores and on an H200. */
export const STORED_RATES: Readonly<Record<string, number>> = { wasm: 3e10, webgpu: 4e12 };

/** Times the products that training consists of: NF4, of the base's width, for a third of a second. */
export async function measureRate(backend: Backend, { hiddenSize }: PhiConfig): Promise<number> {
  const shape = [hiddenSize, hiddenSize] as const;
  const blocks = Math.ceil((hiddenSize * hiddenSize) / 64);
  const codes = backend.empty('u8', [Math.ceil((hiddenSize * hiddenSize) / 2)]);
  const absmax = backend.empty('f32', [blocks]);
  const [x, out] = [
    backend.empty('f32', [ROWS, hiddenSize]),
    backend.empty('f32', [ROWS, hiddenSize]),
  ];
  const scales = { kind: 'plain', absmax } as const;
  const weight: LinearWeight = { kind: 'nf4', shape, blockSize: 64, codes, scales };
  const call = async () => {
    backend.ops.linear({ x, weight, bias: null, out, accumulate: false });
    backend.ops.linearBackward({ dOut: out, weight, dX: x, accumulate: false });
    await backend.sync();
  };
  await call();
  const started = performance.now();
  let calls = 0;
  do {
    await call();
    calls++;
  } while (performance.now() - started < 300);
  const seconds = (performance.now() - started) / 1000;
  for (const tensor of [codes, absmax, x, out]) backend.free(tensor);
  const dry = createCountingBackend();
  dry.ops.linear({ x, weight, bias: null, out, accumulate: false });
  return (PRODUCTS_SHARE * 2 * calls * dry.counts().multiplyAdds) / seconds;
}
