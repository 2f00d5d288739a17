// A thousand real training steps on the CPU engine: after the first ones nothing is allocated, neither
// on the backend nor in the WebAssembly memory, and the JavaScript heap stays where it was.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createWasmBackend } from '@qlorajs/compute-wasm';
import { createAdamW } from '@qlorajs/paged-optim';
import { afterEach, expect, test, vi } from 'vitest';
import type { LabelledBatch } from '../src/index.js';
import { tinyAdapter, tinyModel } from './tiny-model.js';

const STEPS = 1000;
/** By then every length has occurred and every function has been compiled. */
const WARM = 500;
/** What V8 keeps or drops between two collections. */
const HEAP_NOISE = 512 * 1024;

/** The libraries of a page, which type it, are not in this program. */
const { WebAssembly } = globalThis as unknown as {
  readonly WebAssembly: {
    readonly Memory: { readonly prototype: { grow(pages: number): number } };
  };
};

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

afterEach(() => vi.restoreAllMocks());

/** Rows of other lengths in every step, the longest now and then. */
function batchOf(step: number): LabelledBatch {
  const [batchSize, length] = [3, 4 + ((step * 7) % 13)];
  const lengths = Int32Array.from({ length: batchSize }, (_, i) => length - (i % 3));
  const inputIds = Int32Array.from(
    { length: batchSize * length },
    (_, i) => (i * 11 + step * 5) % 40,
  );
  return { batchSize, length, lengths, inputIds, labels: inputIds };
}

function bytesInUse(): number {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

test(`memory does not grow over ${STEPS.toLocaleString('en')} steps`, async () => {
  const grow = vi.spyOn(WebAssembly.Memory.prototype, 'grow');
  const backend = await createWasmBackend({ threads: 2 });
  const empty = vi.spyOn(backend, 'empty');
  const model = await tinyModel(backend, { quantize: { doubleQuant: true } });
  const adapter = tinyAdapter(model, 0.1);
  model.attach(adapter);
  const optimizer = createAdamW(backend, adapter.parameters(), { maxGradNorm: 1 });
  let last = 0;
  const run = async (from: number, to: number) => {
    for (let step = from; step < to; step++) {
      const batch = batchOf(step);
      const normalizer = batch.labels.length - batch.batchSize;
      optimizer.zeroGrad();
      const { lossSum } = await model.forwardBackward(batch, { normalizer, dropoutSeed: step });
      await optimizer.step(1e-3);
      last = lossSum / normalizer;
    }
    return {
      allocations: empty.mock.calls.length,
      growths: grow.mock.calls.length,
      backend: backend.memory(),
    };
  };
  const warm = await run(0, WARM);
  const heap = bytesInUse();
  const end = await run(WARM, STEPS);
  expect(Number.isFinite(last)).toBe(true);
  expect(warm.allocations).toBeGreaterThan(0);
  expect(end).toEqual(warm);
  expect(bytesInUse() - heap).toBeLessThan(HEAP_NOISE);
  await backend.dispose();
});
