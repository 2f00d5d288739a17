import {
  type Backend,
  counterKey,
  counterNormal,
  createReferenceBackend,
  type Tensor,
  tensorFrom,
} from '@qlorajs/compute';
import { describe, expect, test } from 'vitest';
import { type DoraArgs, type DoraLinear, doraBackward, doraForward } from '../src/index.js';

const [ROWS, IN, OUT, RANK] = [5, 6, 4, 2];

function randomValues(size: number, seed: number, scale = 1): Float32Array {
  const key = counterKey(seed, 7);
  return Float32Array.from({ length: size }, (_, i) => counterNormal(key, i) * scale);
}

/** The float64 elements that a reference tensor is kept in. */
function data({ storage, offset, size }: Tensor): Float64Array {
  return (storage as { data: Float64Array }).data.subarray(offset, offset + size);
}

function setup(probability: number) {
  const backend: Backend = createReferenceBackend();
  let seed = 0;
  const random = (shape: readonly number[]) =>
    tensorFrom(
      backend,
      randomValues(
        shape.reduce((a, b) => a * b, 1),
        ++seed,
        0.5,
      ),
      shape,
    );
  const parameter = (name: string, shape: readonly number[]) => ({
    name,
    value: random(shape),
    grad: backend.empty('f32', shape),
  });
  const layer: DoraLinear = {
    name: 'q_proj',
    ...{ a: parameter('a', [RANK, IN]), b: parameter('b', [OUT, RANK]), rank: RANK, scaling: 1.5 },
    magnitude: parameter('m', [OUT]),
  };
  const x = random([ROWS, IN]);
  const args: DoraArgs & { bias: Tensor } = {
    weight: { kind: 'dense', shape: [OUT, IN], values: random([OUT, IN]) },
    inverseNorms: random([OUT]),
    bias: random([OUT]),
    x,
    hidden: backend.empty('f32', [ROWS, RANK]),
    combined: backend.empty('f32', [ROWS, OUT]),
    dropout: probability === 0 ? null : { probability, seed: 9, stream: 3 },
    scratch: (name, shape) => backend.empty('f32', shape, name),
  };
  return { backend, layer, x, args, dOut: random([ROWS, OUT]) };
}

describe.each([0, 0.4])('dropout %d', (probability) => {
  test('every gradient is the derivative, the norms held constant', () => {
    const { backend, layer, x, args, dOut } = setup(probability);
    const before = tensorFrom(backend, randomValues(ROWS * OUT, 77), [ROWS, OUT]);
    const run = (): Tensor => {
      const out = backend.empty('f32', [ROWS, OUT]);
      backend.ops.axpby({ x: before, out, alpha: 1, beta: 0 });
      doraForward(backend, layer, { ...args, out, accumulate: true });
      return out;
    };
    const value = () => data(run()).reduce((sum, each, i) => sum + each * data(dOut)[i]!, 0);
    run();
    const dX = tensorFrom(backend, new Float32Array(ROWS * IN).fill(1), [ROWS, IN]);
    doraBackward(backend, layer, { ...args, dOut, dX, accumulate: true });
    const gradients: [Tensor, Float64Array][] = [
      [x, data(dX).map((each) => each - 1)],
      ...[layer.a, layer.b, layer.magnitude].map(
        ({ value: tensor, grad }): [Tensor, Float64Array] => [tensor, data(grad)],
      ),
    ];
    for (const [tensor, gradient] of gradients)
      for (let i = 0; i < tensor.size; i++) {
        const original = data(tensor)[i]!;
        data(tensor)[i] = original + 1e-4;
        const above = value();
        data(tensor)[i] = original - 1e-4;
        const below = value();
        data(tensor)[i] = original;
        expect((above - below) / 2e-4).toBeCloseTo(gradient[i]!, 6);
      }
  });

  test('with the magnitudes of the norms it is plain LoRA where nothing is dropped', () => {
    const { backend, layer, args } = setup(probability);
    // m = |W + s B A| makes the scale 1, whatever the mask.
    data(layer.magnitude.value).set(data(args.inverseNorms).map((each) => 1 / each));
    const out = backend.empty('f32', [ROWS, OUT]);
    doraForward(backend, layer, { ...args, out, accumulate: false });
    const plain = backend.empty('f32', [ROWS, OUT]);
    const { x, weight, bias } = args;
    backend.ops.linear({ x, weight, bias, out: plain, accumulate: false });
    const input = backend.empty('f32', [ROWS, IN]);
    backend.ops.axpby({ x, out: input, alpha: 1, beta: 0 });
    if (args.dropout) backend.ops.dropout({ x, out: input, ...args.dropout, accumulate: false });
    const [a, b, u] = [data(layer.a.value), data(layer.b.value), data(input)];
    for (let n = 0; n < ROWS; n++)
      for (let o = 0; o < OUT; o++) {
        let update = 0;
        for (let r = 0; r < RANK; r++)
          for (let i = 0; i < IN; i++) update += b[o * RANK + r]! * a[r * IN + i]! * u[n * IN + i]!;
        const wanted = data(plain)[n * OUT + o]! + layer.scaling * update;
        expect(data(out)[n * OUT + o]).toBeCloseTo(wanted, 10);
      }
  });
});
