import { checkCase, opCases } from '@qlorajs/compute/testing';
import { afterAll, describe, expect, test } from 'vitest';
import { BUILDS, createWasmBackend } from './builds.js';

describe.each(BUILDS)('$build', ({ relaxedSimd, present }) => {
  describe.each([1, 2, 3])('%i threads', (threads) => {
    const backend = present ? createWasmBackend({ threads, relaxedSimd }) : null;
    afterAll(async () => (await backend)?.dispose());

    for (const each of opCases())
      test.runIf(present)(each.name, async () => {
        expect(await checkCase(await backend!, each)).toEqual([]);
      });
  });
});
