import { type Backend, sizeOf, type Tensor } from '@qlorajs/compute';
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

/** Three layers of one input, as q, k and v: what they share lies side by side. */
export async function sharedLayers(backend: Backend, rows: number): Promise<number[][]> {
  const [inF, outF, r] = [256, 320, 8];
  const make = (shape: number[], seed: number) => randomTensor(backend, shape, seed, 0.5);
  const parts = (whole: Tensor, shape: number[]) =>
    [0, 1, 2].map((i) => backend.view(whole, i * sizeOf(shape), shape));
  const x = make([rows, inF], 1);
  const dX = make([rows, inF], 2);
  const whole = {
    a: make([3, r, inF], 3),
    b: make([3, outF, r], 4),
    out: make([3, rows, outF], 5),
    hidden: make([3, rows, r], 6),
    dHidden: make([3, rows, r], 7),
    dA: make([3, r, inF], 8),
    dB: make([3, outF, r], 9),
  };
  const [a, b] = [parts(whole.a, [r, inF]), parts(whole.b, [outF, r])];
  const [hidden, dHidden] = [parts(whole.hidden, [rows, r]), parts(whole.dHidden, [rows, r])];
  const [dA, dB] = [parts(whole.dA, [r, inF]), parts(whole.dB, [outF, r])];
  const out = parts(whole.out, [rows, outF]);
  const weights = [0, 1, 2].map((i) => randomWeight(backend, 'nf4-double', [outF, inF], 10 + i));
  const biases = [0, 1, 2].map((i) => make([outF], 20 + i));
  const each = (work: (i: number) => void) => [0, 1, 2].forEach(work);
  const { ops } = backend;
  const form = { transposeA: false, transposeB: true, alpha: 1, beta: 0 };
  const update = { ...form, alpha: 0.25, beta: 1, m: rows, n: outF, k: r };
  each((i) => ops.matmul({ ...form, a: x, b: a[i], out: hidden[i], m: rows, n: r, k: inF }));
  each((i) =>
    ops.linear({ x, weight: weights[i], bias: biases[i], out: out[i], accumulate: false }),
  );
  each((i) => ops.matmul({ ...update, a: hidden[i], b: b[i], out: out[i] }));
  const outer = { ...form, transposeA: true, transposeB: false, beta: 1 };
  const along = { ...form, transposeB: false, m: rows };
  each((i) =>
    ops.matmul({ ...outer, a: out[i], b: hidden[i], out: dB[i], m: outF, n: r, k: rows }),
  );
  each((i) => ops.matmul({ ...along, a: out[i], b: b[i], out: dHidden[i], n: r, k: outF }));
  each((i) => ops.matmul({ ...outer, a: dHidden[i], b: x, out: dA[i], m: r, n: inF, k: rows }));
  each((i) => ops.linearBackward({ dOut: out[i], weight: weights[i], dX, accumulate: true }));
  each((i) => ops.matmul({ ...along, a: dHidden[i], b: a[i], out: dX, n: inF, k: r, beta: 1 }));
  const results = [whole.out, whole.hidden, whole.dB, whole.dHidden, whole.dA, dX];
  return Promise.all(results.map(async (tensor) => [...(await backend.read(tensor))]));
}
