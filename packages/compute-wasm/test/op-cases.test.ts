import { checkCase, opCases, referenceOnce } from '@qlorajs/compute/testing';
import { afterAll, describe, expect, test } from 'vitest';
import { BUILDS, createWasmBackend } from './builds.js';

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
