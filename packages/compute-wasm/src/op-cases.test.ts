import { checkCase, opCases } from '@qlorajs/compute/testing';
import { afterAll, describe, expect, test } from 'vitest';
import { createWasmBackend, hasRelaxedSimd } from './index.js';

const BUILDS = [
  { name: 'plain SIMD', relaxedSimd: false, present: true },
  {
    name: 'relaxed SIMD (absent here: Node 20 needs --experimental-wasm-relaxed-simd)',
    relaxedSimd: true,
    present: hasRelaxedSimd(),
  },
];

describe.each(BUILDS)('$name', ({ relaxedSimd, present }) => {
  describe.each([1, 2, 3])('%i threads', (threads) => {
    const backend = present ? createWasmBackend({ threads, relaxedSimd }) : null;
    afterAll(async () => (await backend)?.dispose());

    for (const each of opCases())
      test.runIf(present)(each.name, async () => {
        expect(await checkCase(await backend!, each)).toEqual([]);
      });
  });
});
