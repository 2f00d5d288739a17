import type { Backend } from '@qlorajs/compute';
import { randomTensor, randomWeight } from '@qlorajs/compute/testing';

/** An adapter's layer, forward and backward, as the model asks for it. */
export async function adapterLayer(
  backend: Backend,
  rows: number,
  overlap: boolean,
): Promise<number[][]> {
  const [inF, outF, r] = [64, 96, 8];
  const make = (shape: number[], seed: number) => randomTensor(backend, shape, seed, 0.5);
  const [x, a, b] = [make([rows, inF], 1), make([r, inF], 2), make([outF, r], 3)];
  const [out, hidden] = [make([rows, outF], 4), make([rows, r], 5)];
  const [dHidden, dX, dB] = [make([rows, r], 6), make([rows, inF], 7), make([outF, r], 8)];
  const weight = randomWeight(backend, 'nf4-double', [outF, inF], 9);
  const { ops } = backend;
  const product = { transposeA: false, transposeB: true, alpha: 1, beta: 0 };
  ops.linear({ x, weight, bias: null, out, accumulate: true });
  ops.matmul({ ...product, a: x, b: a, out: hidden, m: rows, n: r, k: inF });
  // A change of the product's input in between must not reach it.
  if (overlap) ops.axpby({ x, out: x, alpha: 3, beta: 0 });
  const update = { ...product, alpha: 0.25, beta: 1 };
  ops.matmul({ ...update, a: hidden, b, out, m: rows, n: outF, k: r });
  ops.linearBackward({ dOut: out, weight, dX, accumulate: false });
  const outer = { ...product, transposeA: true, transposeB: false, beta: 1 };
  ops.matmul({ ...outer, a: out, b: hidden, out: dB, m: outF, n: r, k: rows });
  const along = { ...product, transposeB: false };
  ops.matmul({ ...along, a: out, b, out: dHidden, m: rows, n: r, k: outF });
  ops.matmul({ ...along, a: dHidden, b: a, out: dX, m: rows, n: inF, k: r, beta: 1 });
  return Promise.all([out, hidden, dB, dHidden, dX].map(async (t) => [...(await backend.read(t))]));
}
