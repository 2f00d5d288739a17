import { readFileSync } from 'node:fs';
import { type Backend, createReferenceBackend, type Parameter, tensorFrom } from '@qlorajs/compute';
import { describe, expect, test } from 'vitest';
import { contiguous } from './contiguous.js';
import { type AdamWOptions, createAdamW, type Optimizer } from './index.js';

type Named<T> = Readonly<Record<string, T>>;

interface Trajectory {
  readonly shapes: Named<number[]>;
  readonly start: Named<number[]>;
  readonly steps: readonly {
    readonly learning_rate: number;
    readonly grad_norm: number;
    readonly gradients: Named<number[]>;
    readonly parameters: Named<number[]>;
  }[];
}

const trajectory = JSON.parse(
  readFileSync(new URL('../fixtures/trajectory.json', import.meta.url), 'utf8'),
) as Trajectory;

const OPTIONS: Partial<AdamWOptions> = {
  beta2: 0.99,
  weightDecay: 0.1,
  maxGradNorm: 1,
  decays: (name) => !name.includes('bias'),
};

function setup(backend: Backend = createReferenceBackend(), options = OPTIONS) {
  const parameters: Parameter[] = Object.entries(trajectory.shapes).map(([name, shape]) => ({
    name,
    value: tensorFrom(backend, trajectory.start[name]!, shape),
    grad: backend.empty('f32', shape),
  }));
  return { backend, parameters, optimizer: createAdamW(backend, parameters, options) };
}

async function advance(
  { backend, parameters, optimizer }: ReturnType<typeof setup>,
  step: Trajectory['steps'][number],
) {
  for (const { name, grad } of parameters)
    backend.write(grad, Float32Array.from(step.gradients[name]!));
  return optimizer.step(step.learning_rate);
}

const valuesOf = async ({
  backend,
  parameters,
}: Pick<ReturnType<typeof setup>, 'backend' | 'parameters'>) =>
  Promise.all(parameters.map(({ value }) => backend.read(value)));

test('ten steps of torch.optim.AdamW: cosine schedule, clipping, two groups', async () => {
  const run = setup();
  for (const step of trajectory.steps) {
    const { gradNorm, skipped } = await advance(run, step);
    expect(skipped).toBe(false);
    expect(Math.abs(gradNorm / step.grad_norm - 1)).toBeLessThan(1e-6);
    for (const { name, value } of run.parameters) {
      const expected = step.parameters[name]!;
      const actual = await run.backend.read(value);
      const worst = Math.max(...expected.map((each, i) => Math.abs(each - actual[i]!)));
      expect(worst, name).toBeLessThan(1e-6);
    }
  }
});

test('every option of the trajectory counts', async () => {
  const end = async (options: Partial<AdamWOptions>) => {
    const run = setup(undefined, { ...OPTIONS, ...options });
    for (const step of trajectory.steps) await advance(run, step);
    return valuesOf(run);
  };
  const reference = await end({});
  const others = [
    { beta1: 0.8 },
    { beta2: 0.9 },
    { epsilon: 1e-3 },
    { weightDecay: 0 },
    { maxGradNorm: 0 },
    { decays: () => true },
  ];
  for (const options of others) expect(await end(options)).not.toEqual(reference);
});

test('a run that was saved and resumed ends as the uninterrupted one', async () => {
  const whole = setup();
  for (const step of trajectory.steps) await advance(whole, step);
  const first = setup();
  for (const step of trajectory.steps.slice(0, 4)) await advance(first, step);
  const state = await first.optimizer.state();
  expect(Object.keys(state.tensors)).toContain('layer.lora_A.weight.exp_avg_sq');
  const second = setup();
  (await valuesOf(first)).forEach((values, i) => {
    second.backend.write(second.parameters[i]!.value, values);
  });
  await second.optimizer.load(state);
  for (const step of trajectory.steps.slice(4)) await advance(second, step);
  const [resumed, uninterrupted] = [await valuesOf(second), await valuesOf(whole)];
  // The checkpoint rounds the reference backend's float64 to f32.
  resumed.forEach((values, i) => {
    values.forEach((value, j) => {
      expect(Math.abs(value - uninterrupted[i]![j]!)).toBeLessThan(1e-6);
    });
  });
  expect((await second.optimizer.state()).step).toBe(10);
});

describe.each([Number.NaN, Number.POSITIVE_INFINITY])('a gradient of %s', (bad) => {
  test('skips the step and says so; the next one goes on as if nothing had been', async () => {
    const run = setup();
    const plain = setup();
    const [one, two] = trajectory.steps as [Trajectory['steps'][0], Trajectory['steps'][0]];
    await advance(run, one);
    await advance(plain, one);
    const [before, state] = [await valuesOf(run), await run.optimizer.state()];
    run.backend.write(run.parameters[1]!.grad, Float32Array.of(bad), 3);
    const { gradNorm, skipped } = await run.optimizer.step(0.1);
    expect(skipped).toBe(true);
    expect(gradNorm).toBe(bad);
    expect(await valuesOf(run)).toEqual(before);
    expect(await run.optimizer.state()).toEqual(state);
    await advance(run, two);
    await advance(plain, two);
    expect(await valuesOf(run)).toEqual(await valuesOf(plain));
  });
});

test('zeroGrad, memory and dispose', async () => {
  const backend = createReferenceBackend();
  const run = setup(backend);
  const { optimizer, parameters } = run;
  expect(optimizer.stateBytes).toBe(2 * 4 * (18 + 10 + 5));
  expect(backend.memory().live).toBe(2 * optimizer.stateBytes + 8);
  await advance(run, trajectory.steps[0]!);
  optimizer.zeroGrad();
  for (const { grad } of parameters)
    expect((await backend.read(grad)).every((value) => value === 0)).toBe(true);
  optimizer.dispose();
  expect(backend.memory().live).toBe(optimizer.stateBytes);
});

test('refuses a state of other parameters', async () => {
  const { optimizer } = setup();
  const state = await optimizer.state();
  const load = (changed: Partial<Parameters<Optimizer['load']>[0]>) =>
    expect(optimizer.load({ ...state, ...changed }));
  const error = (message: RegExp) =>
    expect.objectContaining({ code: 'OPTIMIZER_STATE', message: expect.stringMatching(message) });
  const one = 'layer.norm.bias.exp_avg';
  await load({ tensors: { ...state.tensors, [one]: new Float32Array(4) } }).rejects.toEqual(
    error(/layer.norm.bias.exp_avg has 4 values, not 5/),
  );
  await load({ tensors: {} }).rejects.toEqual(error(/has no values/));
  await load({ tensors: { ...state.tensors, extra: new Float32Array(1) } }).rejects.toEqual(
    error(/extra is not expected/),
  );
  await load({ step: -1 }).rejects.toEqual(error(/step is -1/));
  await load({}).resolves.toBeUndefined();
});

test('refuses wrong options and lists of parameters', () => {
  const { backend, parameters } = setup();
  for (const options of [
    { beta1: 1 },
    { beta2: -0.1 },
    { epsilon: 0 },
    { weightDecay: Number.NaN },
    { maxGradNorm: -1 },
  ])
    expect(() => createAdamW(backend, parameters, options)).toThrowError(
      expect.objectContaining({
        code: 'OPTIMIZER_OPTION',
        details: { option: Object.keys(options)[0], value: Object.values(options)[0] },
      }),
    );
  expect(() => createAdamW(backend, [])).toThrowError(/empty/);
  expect(() => createAdamW(backend, [parameters[0]!, parameters[0]!])).toThrowError(/listed twice/);
});

test('gradients that lie side by side are one tensor to clear and to sum', () => {
  const backend = createReferenceBackend();
  const whole = backend.empty('f32', [10]);
  const [a, b] = [backend.view(whole, 0, [2, 3]), backend.view(whole, 6, [2])];
  const apart = backend.view(whole, 9, [1]);
  const merged = contiguous([a, b, apart, backend.empty('f32', [2])]);
  expect(merged.map(({ offset, size }) => [offset, size])).toEqual([
    [0, 8],
    [9, 1],
    [0, 2],
  ]);
});
