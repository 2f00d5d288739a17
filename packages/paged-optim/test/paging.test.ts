import { type Backend, type Parameter, tensorFrom } from '@qlorajs/compute';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import {
  createAdamW,
  createMemoryStore,
  createPager,
  type MomentBits,
  type Pager,
  type PageStore,
} from '../src/index.js';
import { engines } from './engines.js';

/** Gradients of both signs and many magnitudes. */
function values(size: number, seed: number): Float32Array {
  return Float32Array.from(
    { length: size },
    (_, i) => Math.sin(i * 12.9898 + seed * 78.233) * 10 ** (-(i % 5) / 2),
  );
}

function parametersOf(backend: Backend, sizes: readonly number[]): Parameter[] {
  return sizes.map((size, i) => ({
    name: `p${i}`,
    value: tensorFrom(backend, values(size, 100 + i), [size]),
    grad: backend.empty('f32', [size]),
  }));
}

interface Run {
  readonly backend: Backend;
  readonly sizes: readonly number[];
  readonly moments: MomentBits;
  readonly steps: number;
}

/** Trains with moments in `pager`, or all on the device; gives parameters and moments at the end. */
async function train({ backend, sizes, moments, steps }: Run, pager?: Pager) {
  const parameters = parametersOf(backend, sizes);
  const options = { moments, pager, weightDecay: 0.1, maxGradNorm: 3 };
  const optimizer = createAdamW(backend, parameters, options);
  for (let step = 1; step <= steps; step++) {
    for (const [i, { grad }] of parameters.entries())
      backend.write(grad, values(grad.size, 31 * step + i));
    await optimizer.step(1e-2);
  }
  const ends = await Promise.all(parameters.map(({ value }) => backend.read(value)));
  const state = await optimizer.state();
  optimizer.dispose();
  pager?.dispose();
  for (const { value, grad } of parameters) {
    backend.free(value);
    backend.free(grad);
  }
  return { ends, state };
}

/** Answers later, as a file does. */
function slowStore(): PageStore {
  const memory = createMemoryStore();
  const later = () => new Promise<void>((resolve) => setTimeout(resolve, 0));
  return {
    async put(key, bytes) {
      await later();
      memory.put(key, bytes.slice());
    },
    async get(key) {
      await later();
      return memory.get(key);
    },
    delete: (key) => memory.delete(key),
  };
}

const largestPage = (sizes: readonly number[]) => 8 * Math.max(...sizes);

describe.each(engines)('paging on $name', ({ absent, create }) => {
  const made = absent ? null : create();
  afterAll(async () => (await made)?.dispose());

  test.skipIf(absent)('any budget gives the bits of no budget', { timeout: 60_000 }, async () => {
    const backend = await made!;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(fc.integer({ min: 1, max: 900 }), fc.integer({ min: 4096, max: 4700 })), {
          minLength: 1,
          maxLength: 5,
        }),
        fc.constantFrom<MomentBits>('32bit', '8bit'),
        fc.integer({ min: 1, max: 3 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.boolean(),
        async (sizes, moments, steps, share, slow) => {
          const run = { backend, sizes, moments, steps };
          const expected = await train(run);
          const all = sizes.reduce((sum, size) => sum + 8 * size, 0);
          const least = largestPage(sizes);
          const budget = Math.round(least + share * (all - least));
          const store = slow ? slowStore() : createMemoryStore();
          const live = backend.memory().live;
          const pager = createPager(backend, { budget, store });
          backend.resetPeak();
          expect(await train(run, pager)).toEqual(expected);
          const fixed = sizes.reduce((sum, size) => sum + 8 * size, 0) + 8 + 2048;
          expect(backend.memory().peak - live).toBeLessThanOrEqual(budget + fixed);
          expect(backend.memory().live).toBe(live);
        },
      ),
      { numRuns: Number(process.env.QLORAJS_RUNS ?? (backend.name === 'webgpu' ? 5 : 12)) },
    );
  });

  test.skipIf(absent)('pages of megabytes: the same bits', { timeout: 60_000 }, async () => {
    const backend = await made!;
    const size = 2 ** 17 + 3;
    const run = { backend, sizes: [size, size, size], moments: '32bit', steps: 2 } as const;
    const pager = createPager(backend, { budget: 8 * size });
    const [paged, free] = [await train(run, pager), await train(run)];
    expect(pager.stats.bytesIn).toBeGreaterThan(2 * 8 * size);
    const same = paged.ends.map((end, i) => end.every((value, k) => value === free.ends[i]![k]));
    expect(same).toEqual([true, true, true]);
  });

  test.skipIf(absent)('one page: everything else is moved out and in again', async () => {
    const backend = await made!;
    const run = { backend, sizes: [5000, 5000, 5000, 700], moments: '8bit', steps: 3 } as const;
    const pager = createPager(backend, { budget: 2 * 5000 + 8 * 20 });
    const paged = await train(run, pager);
    expect(paged).toEqual(await train(run));
    expect(pager.stats.evictions).toBeGreaterThan(8);
    expect(pager.stats.residentBytes).toBe(0);
  });
});
