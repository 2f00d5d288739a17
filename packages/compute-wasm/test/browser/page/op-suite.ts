import type { Backend } from '@qlorajs/compute';
import { checkCase, opCases } from '@qlorajs/compute/testing';
import { createWasmBackend } from '../../../src/index.js';
import { settings } from './settings.js';
import { afterAll, beforeAll, describe, expect, test } from './vitest.js';

for (const relaxedSimd of [false, true])
  describe(relaxedSimd ? 'relaxed SIMD' : 'plain SIMD', () => {
    let backend: Backend;
    beforeAll(async () => {
      backend = await createWasmBackend({ threads: settings.current.threads, relaxedSimd });
    });
    afterAll(() => backend.dispose());

    test('the host is what it is taken for', () => {
      const { threads, sharedMemory } = settings.current;
      expect(backend.info.threads).toBe(threads);
      expect(backend.info.sharedMemory).toBe(sharedMemory);
      expect(backend.info.relaxedSimd).toBe(relaxedSimd);
    });

    for (const each of opCases())
      test(each.name, async () => {
        expect(await checkCase(backend, each)).toEqual([]);
      });
  });
