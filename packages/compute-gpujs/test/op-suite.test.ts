import { checkCase, type OpCase, opCases } from '@qlorajs/compute/testing';
import { GPU } from 'gpu.js';
import { afterAll, describe, expect, test } from 'vitest';
import { createGpuJsBackend } from '../src/index.js';

/** The reference, which is slow, runs a case once for all modes. */
function referenceOnce(opCase: OpCase): OpCase {
  let expected: ReturnType<OpCase['run']> | undefined;
  const run: OpCase['run'] = (backend) => {
    if (backend.name !== 'reference') return opCase.run(backend);
    expected ??= opCase.run(backend);
    return expected;
  };
  return { ...opCase, run };
}

const CASES = opCases().map(referenceOnce);

describe.each(['cpu', 'webasm'] as const)('mode %s', (mode) => {
  const backend = createGpuJsBackend({ GPU, mode });
  afterAll(async () => (await backend).dispose());

  for (const each of CASES)
    test(each.name, async () => {
      expect(await checkCase(await backend, each)).toEqual([]);
    });
});
