import { checkCase, type OpCase, opCases } from '@qlorajs/compute/testing';
import { afterAll, describe, expect, test } from 'vitest';
import { BUILDS, createWasmBackend } from './builds.js';

/** The reference, which is slow, runs a case once for all builds and thread counts. */
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

describe.each(BUILDS)('$build', ({ relaxedSimd, tile, present }) => {
  describe.each([1, 2, 3])('%i threads', (threads) => {
    const backend = present ? createWasmBackend({ threads, relaxedSimd, tile }) : null;
    afterAll(async () => (await backend)?.dispose());

    for (const each of CASES)
      test.runIf(present)(each.name, async () => {
        expect(await checkCase(await backend!, each)).toEqual([]);
      });
  });
});
