// Stands in for the backends of the model's tests: in a page, the CPU engine alone.
import { createWasmBackend } from '../../../src/index.js';
import { currentSettings } from './settings.js';

export const backends = [
  {
    name: 'wasm',
    create: () => createWasmBackend({ threads: currentSettings().threads }),
    tolerance: { absolute: 2e-4, gradient: 1e-3, loss: 1e-4 },
  },
];

/** The golden tests' limit of time: a page has none. */
export const PATIENT = {};
