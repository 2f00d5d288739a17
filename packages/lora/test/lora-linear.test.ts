import {
  type Backend,
  counterKey,
  counterNormal,
  createReferenceBackend,
  type Parameter,
  type Tensor,
  tensorFrom,
} from '@qlorajs/compute';
import { describe, expect, test } from 'vitest';
import { type LoraDropout, type LoraLinear, loraBackward, loraForward } from '../src/index.js';
import { fixtureText } from './fixture-folder.js';

interface LinearFixture {
  readonly rank: number;
  readonly scaling: number;
  readonly use_rslora: boolean;
  readonly a: number[];
  readonly b: number[];
  readonly x: number[];
  readonly d_out: number[];
  readonly base: number[];
  readonly base_d_x: number[];
  readonly out: number[];
  readonly d_x: number[];
  readonly d_a: number[];
  readonly d_b: number[];
}

const fixtures = JSON.parse(fixtureText('lora-linear.json')) as LinearFixture[];
const [N, IN, OUT] = [8, 6, 5];

function parameter(backend: Backend, name: string, values: number[], shape: number[]): Parameter {
  return { name, value: tensorFrom(backend, values, shape), grad: backend.empty('f32', shape) };
}

interface Values {
  readonly x: number[];
  readonly a: number[];
  readonly b: number[];
}

/** One forward and backward of a layer whose base output is `base`; scratch starts full of rubbish. */
async function run(
  values: Values & { base: number[]; dOut: number[]; baseDX: number[] },
  rank: number,
  scaling: number,
  dropout: LoraDropout | null,
) {
  const backend = createReferenceBackend();
  const layer: LoraLinear = {
    name: 'proj',
    rank,
    scaling,
    a: parameter(backend, 'a', values.a, [rank, IN]),
    b: parameter(backend, 'b', values.b, [OUT, rank]),
  };
  const rubbish = (shape: number[]) => {
    const tensor = backend.empty('f32', shape);
    backend.ops.fill({ out: tensor, value: 1e6 });
    return tensor;
  };
  const x = tensorFrom(backend, values.x, [N, IN]);
  const out = tensorFrom(backend, values.base, [N, OUT]);
  const hidden = rubbish([N, rank]);
  const dropped = dropout === null ? null : rubbish([N, IN]);
  loraForward(backend, layer, { x, out, hidden, dropped, dropout });
  const dX = tensorFrom(backend, values.baseDX, [N, IN]);
  const dOut = tensorFrom(backend, values.dOut, [N, OUT]);
  const dHidden = rubbish([N, rank]);
  loraBackward(backend, layer, { dOut, x, hidden, dHidden, dropped, dX, dropout });
  const read = async (tensor: Parameters<Backend['read']>[0]) => [...(await backend.read(tensor))];
  return {
    out: await read(out),
    dX: await read(dX),
    dA: await read(layer.a.grad),
    dB: await read(layer.b.grad),
  };
}

function expectClose(actual: number[], expected: number[], tolerance: number): void {
  expect(actual).toHaveLength(expected.length);
  const worst = Math.max(...actual.map((value, i) => Math.abs(value - expected[i]!)));
  expect(worst).toBeLessThan(tolerance);
}

describe('against PEFT', () => {
  test.each(fixtures.map((each) => [each.use_rslora, each] as const))(
    'use_rslora %s: output and gradients',
    async (_, each) => {
      const { rank, scaling, base, d_out: dOut, base_d_x: baseDX } = each;
      const actual = await run({ ...each, base, dOut, baseDX }, rank, scaling, null);
      // Inputs and outputs cross the interface as f32.
      expectClose(actual.out, each.out, 2e-6);
      expectClose(actual.dX, each.d_x, 2e-6);
      expectClose(actual.dA, each.d_a, 2e-6);
      expectClose(actual.dB, each.d_b, 2e-6);
    },
  );
});

/** The float64 values behind a tensor of the reference backend. */
function float64(tensor: Tensor): Float64Array {
  return (tensor.storage as { readonly data: Float64Array }).data;
}

describe.each([
  ['without dropout', null],
  ['with dropout', { probability: 0.3, seed: 5, stream: 11 }],
] as const)('gradients against central differences in float64, %s', (_, dropout) => {
  const backend = createReferenceBackend();
  const random = (shape: number[], stream: number) => {
    const tensor = backend.empty('f32', shape);
    const key = counterKey(3, stream);
    float64(tensor).forEach((_value, i, all) => {
      all[i] = counterNormal(key, i);
    });
    return tensor;
  };
  const trainable = (name: string, shape: number[], stream: number): Parameter => ({
    name,
    value: random(shape, stream),
    grad: random(shape, stream + 10),
  });
  const rank = 3;
  const layer: LoraLinear = {
    name: 'proj',
    rank,
    scaling: 1.7,
    a: trainable('a', [rank, IN], 1),
    b: trainable('b', [OUT, rank], 2),
  };
  const x = random([N, IN], 4);
  const dOut = random([N, OUT], 5);
  const dX = random([N, IN], 6);
  const hidden = backend.empty('f32', [N, rank]);
  const dropped = dropout === null ? null : backend.empty('f32', [N, IN]);

  /** sum(dOut * update), whose gradient with respect to the output is dOut. */
  const loss = (): number => {
    const out = backend.empty('f32', [N, OUT]);
    loraForward(backend, layer, { x, out, hidden, dropped, dropout });
    const total = float64(out).reduce((sum, value, i) => sum + value * float64(dOut)[i]!, 0);
    backend.free(out);
    return total;
  };
  const start = [layer.a.grad, layer.b.grad, dX].map((tensor) => float64(tensor).slice());
  loss();
  const dHidden = backend.empty('f32', [N, rank]);
  loraBackward(backend, layer, { dOut, x, hidden, dHidden, dropped, dX, dropout });

  test.each([
    ['A', layer.a.value, layer.a.grad, start[0]!],
    ['B', layer.b.value, layer.b.grad, start[1]!],
    ['x', x, dX, start[2]!],
  ] as const)('%s, added to what was there', (_name, value, grad, before) => {
    const values = float64(value);
    const step = 1e-3;
    for (let i = 0; i < values.length; i++) {
      const at = values[i]!;
      values[i] = at + step;
      const above = loss();
      values[i] = at - step;
      const below = loss();
      values[i] = at;
      const expected = before[i]! + (above - below) / (2 * step);
      expect(Math.abs(float64(grad)[i]! - expected)).toBeLessThan(1e-10);
    }
  });
});

test('dropout zeroes a share of the inputs, and none when evaluating', async () => {
  const backend = createReferenceBackend();
  const ones = (shape: number[]) => {
    const tensor = backend.empty('f32', shape);
    backend.ops.fill({ out: tensor, value: 1 });
    return tensor;
  };
  const layer: LoraLinear = {
    name: 'proj',
    rank: 1,
    scaling: 1,
    a: { name: 'a', value: ones([1, 1]), grad: ones([1, 1]) },
    b: { name: 'b', value: ones([1, 1]), grad: ones([1, 1]) },
  };
  const n = 4000;
  const [x, hidden, dropped] = [ones([n, 1]), ones([n, 1]), ones([n, 1])];
  const out = backend.empty('f32', [n, 1]);
  const dropout = { probability: 0.25, seed: 1, stream: 2 };
  loraForward(backend, layer, { x, out, hidden, dropped, dropout });
  const values = await backend.read(out);
  const kept = values.filter((value) => value !== 0);
  expect(kept.every((value) => value === Math.fround(1 / 0.75))).toBe(true);
  // Four standard deviations of a binomial of 4,000 draws at 0.75 are 110.
  expect(Math.abs(kept.length - 3000)).toBeLessThan(110);
  backend.ops.fill({ out, value: 0 });
  loraForward(backend, layer, { x, out, hidden, dropped: null, dropout: null });
  expect((await backend.read(out)).every((value) => value === 1)).toBe(true);
  expect(() =>
    loraForward(backend, layer, { x, out, hidden, dropped: null, dropout }),
  ).toThrowError(/dropped/);
});
