import { readFileSync } from 'node:fs';
import { type Backend, createReferenceBackend, tensorFrom } from '@qlorajs/compute';
import { afterAll, describe, expect, test } from 'vitest';
import { createAdamW } from '../src/index.js';
import { engines } from './engines.js';

function bytes(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`../fixtures/adam8/${name}`, import.meta.url)));
}
const floats = (name: string) => new Float32Array(bytes(name).buffer);
const facts = JSON.parse(new TextDecoder().decode(bytes('json'))) as Record<
  'n' | 'beta1' | 'beta2' | 'eps' | 'lr' | 'weight_decay',
  number
>;
const OPTIONS = {
  moments: '8bit',
  beta1: facts.beta1,
  beta2: facts.beta2,
  epsilon: facts.eps,
  weightDecay: facts.weight_decay,
  maxGradNorm: 0,
} as const;

const largest = (actual: ArrayLike<number>, expected: Float32Array) =>
  Math.max(...expected.map((value, i) => Math.abs(value - actual[i]!)));

async function fiveSteps(
  backend: Backend,
  check: (
    step: number,
    p: Float32Array,
    state: Readonly<Record<string, ArrayLike<number>>>,
  ) => void,
) {
  const value = tensorFrom(backend, floats('p0.f32le.bin'), [facts.n]);
  const grad = backend.empty('f32', [facts.n]);
  const gradients = floats('grads_5xN.f32le.bin');
  const optimizer = createAdamW(backend, [{ name: 'w', value, grad }], OPTIONS);
  for (let step = 1; step <= 5; step++) {
    backend.write(grad, gradients.subarray((step - 1) * facts.n, step * facts.n));
    await optimizer.step(facts.lr);
    check(step, await backend.read(value), (await optimizer.state()).tensors);
  }
}

function checkVectors(
  step: number,
  p: Float32Array,
  state: Readonly<Record<string, ArrayLike<number>>>,
) {
  for (const i of [1, 2]) {
    expect(state[`w.state${i}`], `step ${step}`).toEqual(bytes(`step${step}.state${i}.u8.bin`));
    const absmax = floats(`step${step}.absmax${i}.f32le.bin`);
    expect(largest(state[`w.absmax${i}`]!, absmax)).toBeLessThan(1e-7);
  }
  expect(largest(p, floats(`step${step}.p.f32le.bin`))).toBeLessThan(1e-6);
}

describe.each(engines)("bitsandbytes' five steps on $name", ({ absent, create }) => {
  const made = absent ? null : create();
  afterAll(async () => (await made)?.dispose());

  test.skipIf(absent)('codes are identical, parameters to 1e-6', async () => {
    await fiveSteps(await made!, checkVectors);
  });

  test.skipIf(absent)('a saved and restored state goes on with the same bits', async () => {
    const backend = await made!;
    const sizes = [5000, 300];
    const setup = () => {
      const parameters = sizes.map((size, i) => ({
        name: `p${i}`,
        value: backend.empty('f32', [size]),
        grad: tensorFrom(
          backend,
          Float32Array.from({ length: size }, (_, k) => Math.sin(k)),
          [size],
        ),
      }));
      return { parameters, optimizer: createAdamW(backend, parameters, { moments: '8bit' }) };
    };
    const [whole, resumed] = [setup(), setup()];
    for (let step = 0; step < 3; step++) await whole.optimizer.step(1e-3);
    const state = await whole.optimizer.state();
    expect(Object.keys(state.tensors)).toEqual([
      ...['p0.state1', 'p0.state2', 'p0.absmax1', 'p0.absmax2'],
      ...['p1.exp_avg', 'p1.exp_avg_sq'],
    ]);
    await resumed.optimizer.load(state);
    for (const [i, { value }] of whole.parameters.entries())
      backend.write(resumed.parameters[i]!.value, await backend.read(value));
    for (const each of [whole, resumed]) await each.optimizer.step(1e-3);
    expect(await resumed.optimizer.state()).toEqual(await whole.optimizer.state());
    for (const [i, { value }] of whole.parameters.entries()) {
      const [actual, expected] = await Promise.all(
        [resumed.parameters[i]!.value, value].map((tensor) => backend.read(tensor)),
      );
      // The reference keeps parameters in float64, which a copy in f32 rounds.
      if (backend.name === 'reference') expect(largest(actual!, expected!)).toBeLessThan(1e-8);
      else expect(actual).toEqual(expected);
    }
  });
});

test('an engine without the operation steps on the host, to the same codes', async () => {
  const backend = createReferenceBackend();
  const { adamw8bit: _, ...ops } = backend.ops;
  await fiveSteps({ ...backend, ops }, checkVectors);
});
