import { checkCase, opCases, referenceOnce } from '@qlorajs/compute/testing';
import { GPU } from 'gpu.js';
import { afterAll, describe, expect, test } from 'vitest';
import { createGpuJsBackend } from '../src/index.js';

const CASES = opCases().map(referenceOnce);

describe.each(['cpu', 'webasm'] as const)('mode %s', (mode) => {
  const backend = createGpuJsBackend({ GPU, mode });
  afterAll(async () => (await backend).dispose());

  for (const each of CASES)
    test(each.name, async () => {
      expect(await checkCase(await backend, each)).toEqual([]);
    });
});
