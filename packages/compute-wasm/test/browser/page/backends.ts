// Stands in for the backends of the model's tests: in a page, the CPU engine alone.
import { createWasmBackend } from '../../../src/index.js';
import { settings } from './settings.js';

export const backends = [
  {
    name: 'wasm',
    create: () => createWasmBackend({ threads: settings.current.threads }),
    tolerance: { absolute: 2e-4, gradient: 1e-3, loss: 1e-4 },
  },
];
