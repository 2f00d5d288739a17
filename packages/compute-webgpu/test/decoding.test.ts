import { createReferenceBackend, type DecodeBlockArgs } from '@qlorajs/compute';
import { compareValues, DECODING_TOLERANCES, decodingCases } from '@qlorajs/compute/testing';
import { afterAll, describe, expect, test } from 'vitest';
import { createWebGpuBackend } from '../src/index.js';
import { findGpu, reachableTiers } from './find-gpu.js';

const { gpu, reason } = await findGpu();
const skipped = reason ? `: skipped, ${reason}` : '';
const tiers = await reachableTiers(gpu);

describe.skipIf(!gpu).each(tiers)(`decoding on WebGPU, tier %s${skipped}`, async (tier) => {
  if (!gpu) return;
  const backend = await createWebGpuBackend({ gpu, tier });
  afterAll(() => backend.dispose());

  for (const each of decodingCases())
    test(each.name, async () => {
      const expected = await each.run(createReferenceBackend());
      const actual = await each.run(backend);
      for (const [name, values] of Object.entries(expected))
        expect(compareValues(actual[name], values, DECODING_TOLERANCES[each.op]), name).toEqual([]);
    });

  test('the cases leave nothing behind but the scratch', () => {
    expect(backend.memory().live).toBeLessThanOrEqual(2 ** 20);
  });
});

test.skipIf(!gpu)('without room for its scales a block is left to the operations', async () => {
  const [each] = decodingCases();
  const whole = await createWebGpuBackend({ gpu: gpu! });
  await each.run(whole);
  const { peak } = whole.memory();
  await whole.dispose();
  const short = await createWebGpuBackend({ gpu: gpu!, memoryLimit: peak - 1 });
  expect((await each.run(short)).done).toEqual(Float32Array.of(0));
  await short.dispose();
  // Who cannot do without the room gets it.
  const full = await createWebGpuBackend({ gpu: gpu!, memoryLimit: peak + 16 });
  const done: boolean[] = [];
  const block = (args: DecodeBlockArgs) => {
    done.push(full.decoding!.block(args));
    const other = full.empty('f32', [200]);
    done.push(full.decoding!.block(args));
    full.free(other);
    return full.decoding!.block(args);
  };
  const results = await each.run({ ...full, decoding: { ...full.decoding!, block } });
  expect([...done, ...results.done]).toEqual([true, false, 1]);
  await full.dispose();
});
