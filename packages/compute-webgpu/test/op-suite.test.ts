import type { Backend } from '@qlorajs/compute';
import { checkCase, opCases } from '@qlorajs/compute/testing';
import { afterAll, describe, expect, test } from 'vitest';
import { createWebGpuBackend } from '../src/index.js';
import { findGpu } from './find-gpu.js';

const { gpu, reason } = await findGpu();

describe.skipIf(!gpu)(`operations on WebGPU${reason ? `: skipped, ${reason}` : ''}`, async () => {
  if (!gpu) return;
  const backend: Backend = await createWebGpuBackend({ gpu, tier: 'f32' });
  afterAll(() => backend.dispose());

  test.each(opCases().map((each) => [each.name, each] as const))('%s', async (_, each) => {
    expect(await checkCase(backend, each)).toEqual([]);
  });

  test('the cases leave nothing behind but the scratch', () => {
    expect(backend.memory().live).toBeLessThanOrEqual(4096);
  });
});
