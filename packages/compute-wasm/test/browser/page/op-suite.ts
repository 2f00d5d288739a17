import type { Backend } from '@qlorajs/compute';
import { checkCase, opCases } from '@qlorajs/compute/testing';
import {
  afterAll,
  beforeAll,
  describe,
  expect,
  test,
} from '../../../../../tools/test/browser/page/vitest.js';
import { createWasmBackend } from '../../../src/index.js';
import { currentSettings } from './settings.js';

for (const relaxedSimd of [false, true])
  describe(relaxedSimd ? 'relaxed SIMD' : 'plain SIMD', () => {
    let backend: Backend;
    beforeAll(async () => {
      backend = await createWasmBackend({ threads: currentSettings().threads, relaxedSimd });
    });
    afterAll(() => backend.dispose());

    test('the host is what it is taken for', () => {
      const { threads, sharedMemory } = currentSettings();
      expect(backend.info.threads).toBe(threads);
      expect(backend.info.sharedMemory).toBe(sharedMemory);
      expect(backend.info.relaxedSimd).toBe(relaxedSimd);
    });

    for (const each of opCases())
      test(each.name, async () => {
        expect(await checkCase(backend, each)).toEqual([]);
      });
  });
