// Stands in for the backends of the model's tests: in a page, gpu.js alone.
import { GOLDEN_TOLERANCES } from '@qlorajs/compute/testing';
import { GPU } from 'gpu.js';
import { createGpuJsBackend } from '../../../src/index.js';
import { currentSettings } from './settings.js';

export const backends = [
  {
    name: 'gpujs',
    create: () => createGpuJsBackend({ GPU, mode: currentSettings().mode }),
    tolerance: GOLDEN_TOLERANCES.f32,
  },
];

/** The golden tests' limit of time: a page has none. */
export const PATIENT = {};
