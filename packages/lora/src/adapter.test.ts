import { createCountingBackend, createReferenceBackend, type Tensor } from '@qlorajs/compute';
import { expect, test } from 'vitest';
import { FIXTURE_MODULES } from '../test/phi-modules.js';
import { createAdapter, createEmptyAdapter, defaultLoraConfig, type LoraConfig } from './index.js';

const create = (partial: Partial<LoraConfig>, seed = 1, modules = FIXTURE_MODULES) => {
  const backend = createReferenceBackend();
  const config = defaultLoraConfig({ r: 4, targetModules: ['q_proj', 'fc2'], ...partial });
  return { backend, adapter: createAdapter(backend, config, modules, { seed }) };
};
const fc2 = 'model.layers.0.mlp.fc2';

/** Mean and largest magnitude of many values, to tell distributions apart. */
function summary(values: Float32Array) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return { mean, deviation: Math.sqrt(variance), largest: Math.max(...values.map(Math.abs)) };
}

const BIG = [{ name: 'q_proj', inFeatures: 256, outFeatures: 128 }];

test('A is uniform within 1 / sqrt(in), B is zero, gradients are zero', async () => {
  const { backend, adapter } = create({ r: 64 }, 1, BIG);
  const { a, b } = adapter.layers.get('q_proj')!;
  const bound = 1 / 16;
  const { mean, deviation, largest } = summary(await backend.read(a.value));
  // 16,384 draws: the mean's standard error is bound / sqrt(3) / 128, the deviation's about half of it.
  expect(Math.abs(mean)).toBeLessThan((4 * bound) / Math.sqrt(3) / 128);
  expect(Math.abs(deviation - bound / Math.sqrt(3))).toBeLessThan(bound / 100);
  expect(largest).toBeLessThanOrEqual(bound);
  expect(largest).toBeGreaterThan(0.999 * bound);
  const zero = async (tensor: Tensor) => (await backend.read(tensor)).every((each) => each === 0);
  expect(await zero(b.value)).toBe(true);
  expect(await zero(a.grad)).toBe(true);
  expect(await zero(b.grad)).toBe(true);
});

test('gaussian: A is normal with standard deviation 1 / r', async () => {
  const { backend, adapter } = create({ r: 64, initLoraWeights: 'gaussian' }, 1, BIG);
  const { deviation, largest } = summary(await backend.read(adapter.layers.get('q_proj')!.a.value));
  expect(Math.abs(deviation * 64 - 1)).toBeLessThan(0.03);
  expect(largest * 64).toBeGreaterThan(3);
});

test('false: B is random too, as torch starts a Linear', async () => {
  const { backend, adapter } = create({ r: 64, initLoraWeights: false }, 1, BIG);
  const { largest } = summary(await backend.read(adapter.layers.get('q_proj')!.b.value));
  expect(largest).toBeGreaterThan(0.99 / 8);
  expect(largest).toBeLessThanOrEqual(1 / 8);
});

test('a module starts the same whatever the order and the other modules, and otherwise with another seed', async () => {
  const read = async ({ backend, adapter }: ReturnType<typeof create>) =>
    backend.read(adapter.layers.get(fc2)!.a.value);
  const first = await read(create({}));
  expect(await read(create({ targetModules: ['fc2'] }, 1, [...FIXTURE_MODULES].reverse()))).toEqual(
    first,
  );
  expect(await read(create({}, 2))).not.toEqual(first);
  const { backend, adapter } = create({ targetModules: 'all-linear' });
  const starts = await Promise.all(
    [...adapter.layers.values()].map(async ({ a }) => (await backend.read(a.value))[0]),
  );
  expect(new Set(starts).size).toBe(6);
});

test('names, shapes, ranks and scalings', () => {
  const { adapter } = create({ rankPattern: { fc2: 2 }, alphaPattern: { fc2: 6 }, loraAlpha: 16 });
  expect([...adapter.layers.keys()]).toEqual(['model.layers.0.self_attn.q_proj', fc2]);
  expect(adapter.layers.get(fc2)).toMatchObject({ rank: 2, scaling: 3 });
  expect(
    adapter.parameters().map(({ name, value, grad }) => [name, value.shape, grad.shape]),
  ).toEqual([
    ['base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight', [4, 16], [4, 16]],
    ['base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight', [16, 4], [16, 4]],
    [`base_model.model.${fc2}.lora_A.weight`, [2, 32], [2, 32]],
    [`base_model.model.${fc2}.lora_B.weight`, [16, 2], [16, 2]],
  ]);
});

test('dispose frees everything, also when the device runs out half-way', () => {
  const { backend, adapter } = create({});
  expect(backend.memory().live).toBeGreaterThan(0);
  adapter.dispose();
  expect(backend.memory().live).toBe(0);
  let left = 1;
  const full = {
    ...backend,
    empty: (...args: Parameters<typeof backend.empty>) => {
      if (left-- === 0) throw new Error('out of memory');
      return backend.empty(...args);
    },
  };
  const config = defaultLoraConfig({ targetModules: ['q_proj', 'fc2'] });
  expect(() => createAdapter(full, config, FIXTURE_MODULES, { seed: 1 })).toThrowError(
    'out of memory',
  );
  expect(backend.memory().live).toBe(0);
});

test('an empty adapter has the tensors of a new one, and counts them at any rank', () => {
  const shapes = (make: typeof createAdapter | typeof createEmptyAdapter) =>
    make(createReferenceBackend(), config, FIXTURE_MODULES, { seed: 1 })
      .parameters()
      .map(({ name, value }) => [name, value.shape]);
  const config = defaultLoraConfig({ r: 4, targetModules: ['q_proj', 'fc2'] });
  expect(shapes(createEmptyAdapter)).toEqual(shapes(createAdapter));

  const backend = createCountingBackend();
  createEmptyAdapter(backend, { ...config, r: 2 ** 30, targetModules: ['q_proj'] }, BIG);
  expect(backend.memory().live).toBe(2 * 4 * 2 ** 30 * (256 + 128));
});
