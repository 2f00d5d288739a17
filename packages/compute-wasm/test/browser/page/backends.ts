// Stands in for the backends of the model's tests: in a page, the CPU engine alone.
import { GOLDEN_TOLERANCES } from '@qlorajs/compute/testing';
import { createWasmBackend } from '../../../src/index.js';
import { currentSettings } from './settings.js';

export const backends = [
  {
    name: 'wasm',
    create: () => createWasmBackend({ threads: currentSettings().threads }),
    tolerance: GOLDEN_TOLERANCES.f32,
  },
];

/** The golden tests' limit of time: a page has none. */
export const PATIENT = {};
