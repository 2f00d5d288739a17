import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  type Adam8bitState,
  type AdamState,
  adamStateBytes,
  adamw8bitStep,
  createAdamState,
} from './index.js';

function bytes(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`../fixtures/adam8/${name}`, import.meta.url)));
}

const floats = (name: string) => new Float32Array(bytes(name).buffer);

interface Facts {
  readonly n: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly lr: number;
  readonly weight_decay: number;
}

const facts = JSON.parse(new TextDecoder().decode(bytes('json'))) as Facts;
const RATES = {
  learningRate: facts.lr,
  beta1: facts.beta1,
  beta2: facts.beta2,
  epsilon: facts.eps,
  weightDecay: facts.weight_decay,
};

test('five steps of bitsandbytes: codes are identical, parameters to 1e-6', () => {
  const parameter = floats('p0.f32le.bin');
  const gradients = floats('grads_5xN.f32le.bin');
  const state = createAdamState(facts.n) as Adam8bitState;
  for (let step = 1; step <= 5; step++) {
    const gradient = gradients.subarray((step - 1) * facts.n, step * facts.n);
    adamw8bitStep({ parameter, gradient, state, step, ...RATES });
    expect(state.codes1, `step ${step}`).toEqual(bytes(`step${step}.state1.u8.bin`));
    expect(state.codes2, `step ${step}`).toEqual(bytes(`step${step}.state2.u8.bin`));
    const largest = (actual: Float32Array, name: string) => {
      const expected = floats(`step${step}.${name}.f32le.bin`);
      expect(actual).toHaveLength(expected.length);
      return Math.max(...expected.map((value, i) => Math.abs(value - actual[i]!)));
    };
    expect(largest(parameter, 'p')).toBeLessThan(1e-6);
    expect(largest(state.absmax1, 'absmax1')).toBeLessThan(1e-8);
    expect(largest(state.absmax2, 'absmax2')).toBeLessThan(1e-8);
  }
});

/** Deterministic gradients of many magnitudes and both signs. */
function gradientOf(size: number, step: number): Float32Array {
  return Float32Array.from(
    { length: size },
    (_, i) => Math.sin(i * 12.9898 + step * 78.233) * 10 ** (-(i % 7) / 2),
  );
}

const copyOf = (state: AdamState): AdamState => structuredClone(state);

test('blocks do not touch each other: halves give the same as the whole', () => {
  const size = 4096 + 512 + 100;
  const whole = { parameter: gradientOf(size, 0), state: createAdamState(size) as Adam8bitState };
  const apart = structuredClone(whole);
  const cut = 2048;
  for (let step = 1; step <= 3; step++) {
    const gradient = gradientOf(size, step);
    adamw8bitStep({ ...whole, gradient, step, ...RATES });
    for (const [from, to] of [
      [0, cut],
      [cut, size],
    ] as const) {
      const { codes1, codes2, absmax1, absmax2 } = apart.state;
      const blocks = [from / 256, Math.ceil(to / 256)] as const;
      const state: Adam8bitState = {
        kind: '8bit',
        codes1: codes1.subarray(from, to),
        codes2: codes2.subarray(from, to),
        absmax1: absmax1.subarray(...blocks),
        absmax2: absmax2.subarray(...blocks),
      };
      const parameter = apart.parameter.subarray(from, to);
      adamw8bitStep({ parameter, gradient: gradient.subarray(from, to), state, step, ...RATES });
    }
  }
  expect(apart).toEqual(whole);
});

test('8-bit moments stay near the 32-bit ones', () => {
  const size = 4096;
  const gradient = gradientOf(size, 5).map((value) => Math.sign(value) * (1 + Math.abs(value)));
  const run = (state: AdamState) => {
    const parameter = new Float32Array(size);
    for (let step = 1; step <= 20; step++)
      adamw8bitStep({ parameter, gradient, state, step, ...RATES });
    return parameter;
  };
  const [eight, full] = [run(createAdamState(size)), run(createAdamState(size, size + 1))];
  // A constant gradient moves every element by about 20 learning rates.
  const relative = full.map((value, i) => Math.abs(eight[i]! - value) / Math.abs(value));
  expect(relative.reduce((sum, value) => sum + value, 0) / size).toBeLessThan(0.01);
});

describe('a tensor of fewer than 4,096 elements', () => {
  test('keeps f32 moments', () => {
    expect(createAdamState(4095).kind).toBe('32bit');
    expect(createAdamState(4096).kind).toBe('8bit');
  });

  test('takes the textbook step, decay last', () => {
    const parameter = Float32Array.of(0.5, -2, 1);
    const gradient = Float32Array.of(0.1, -3, 0);
    const state = createAdamState(3);
    const moments = [0, 1, 2].map(() => ({ m: 0, v: 0 }));
    const expected = [...parameter];
    for (let step = 1; step <= 4; step++) {
      adamw8bitStep({
        parameter,
        gradient,
        state,
        step,
        ...RATES,
        weightDecay: 0.5,
        learningRate: 0.1,
      });
      moments.forEach((each, i) => {
        const g = gradient[i]!;
        each.m = 0.9 * each.m + 0.1 * g;
        each.v = 0.999 * each.v + 0.001 * g * g;
        const update =
          each.m / (1 - 0.9 ** step) / (Math.sqrt(each.v / (1 - 0.999 ** step)) + 1e-8);
        expected[i] = (expected[i]! - 0.1 * update) * (1 - 0.1 * 0.5);
      });
    }
    parameter.forEach((value, i) => {
      expect(Math.abs(value - expected[i]!)).toBeLessThan(1e-6);
    });
  });
});

test('a moment keeps its sign where its code would be zero', () => {
  const gradient = new Float32Array(4096).fill(1e-9);
  gradient[0] = 1;
  gradient[1] = -1e-9;
  const state = createAdamState(4096) as Adam8bitState;
  adamw8bitStep({ parameter: new Float32Array(4096), gradient, state, step: 1, ...RATES });
  // 127 is the code of zero: nearest to both, but of the positive sign only.
  expect([...state.codes1.subarray(0, 3)]).toEqual([255, 126, 127]);
});

test.each([Number.NaN, Number.NEGATIVE_INFINITY])(
  'where the gradient is %s the parameter stays',
  (bad) => {
    const parameter = new Float32Array(4096).fill(1);
    const gradient = new Float32Array(4096).fill(1);
    const state = createAdamState(4096) as Adam8bitState;
    adamw8bitStep({ parameter, gradient, state, step: 1, ...RATES });
    gradient[7] = bad;
    const before = parameter[7];
    adamw8bitStep({ parameter, gradient, state, step: 2, ...RATES });
    expect(parameter[7]).toBe(before);
    expect([state.codes1[7], state.codes2[7]]).toEqual([127, 0]);
    expect(parameter[8]).toBeLessThan(before!);
  },
);

test('a block of zero gradients changes nothing but the decay', () => {
  const parameter = new Float32Array(4096).fill(2);
  const gradient = new Float32Array(4096);
  const state = createAdamState(4096) as Adam8bitState;
  for (let step = 1; step <= 3; step++)
    adamw8bitStep({ parameter, gradient, state, step, ...RATES, weightDecay: 0 });
  expect(parameter.every((value) => value === 2)).toBe(true);
  expect(state.absmax1.every((value) => value === 0)).toBe(true);
});

test('gradientScale is a factor of the gradient', () => {
  const size = 4096;
  const run = (gradient: Float32Array, gradientScale?: number) => {
    const [parameter, state] = [gradientOf(size, 9), createAdamState(size)];
    adamw8bitStep({ parameter, gradient, state, step: 1, ...RATES, gradientScale });
    return { parameter, state };
  };
  const quarter = gradientOf(size, 1).map((value) => value / 4);
  expect(run(gradientOf(size, 1), 0.25)).toEqual(run(quarter));
  expect(run(gradientOf(size, 1))).not.toEqual(run(quarter));
});

test('an overflow is reported before anything changes', () => {
  const parameter = new Float32Array(4096).fill(1);
  const gradient = new Float32Array(4096).fill(1e30);
  const state = createAdamState(4096);
  const before = copyOf(state);
  expect(() => adamw8bitStep({ parameter, gradient, state, step: 1, ...RATES })).toThrowError(
    expect.objectContaining({ code: 'BLOCKWISE_NOT_FINITE' }),
  );
  expect(state).toEqual(before);
  expect(parameter.every((value) => value === 1)).toBe(true);
});

test('sizes must agree; bytes are counted', () => {
  const state = createAdamState(5000);
  expect(adamStateBytes(state)).toBe(5000 * 2 + 20 * 2 * 4);
  expect(adamStateBytes(createAdamState(10))).toBe(80);
  const step = () =>
    adamw8bitStep({
      parameter: new Float32Array(5000),
      gradient: new Float32Array(4999),
      state,
      step: 1,
      ...RATES,
    });
  expect(step).toThrowError(/parameter has 5000 elements, gradient 4999, state 5000/);
});
