import type { Backend } from '@qlorajs/compute';
import { checkCase, opCases } from '@qlorajs/compute/testing';
import { GPU } from 'gpu.js';
import {
  afterAll,
  beforeAll,
  describe,
  expect,
  test,
} from '../../../../../tools/test/browser/page/vitest.js';
import { createGpuJsBackend } from '../../../src/index.js';
import { currentSettings } from './settings.js';

describe('operations', () => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await createGpuJsBackend({ GPU, mode: currentSettings().mode });
  });
  afterAll(() => backend.dispose());

  test('the engine runs in the mode that was asked for', () => {
    expect(backend.info.mode).toBe(currentSettings().mode);
  });

  for (const each of opCases())
    test(each.name, async () => {
      expect(await checkCase(backend, each)).toEqual([]);
    });

  test('nothing is left', () => {
    expect(backend.memory().live).toBe(0);
  });
});
