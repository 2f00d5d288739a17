// Stands in for the backends of the model's tests: in a page, gpu.js alone.
import { GPU } from 'gpu.js';
import { createGpuJsBackend } from '../../../src/index.js';
import { currentSettings } from './settings.js';

export const backends = [
  {
    name: 'gpujs',
    create: () => createGpuJsBackend({ GPU, mode: currentSettings().mode }),
    tolerance: { absolute: 2e-4, gradient: 1e-3, loss: 1e-4 },
  },
];

/** The golden tests' limit of time: a page has none. */
export const PATIENT = {};
