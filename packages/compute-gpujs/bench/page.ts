import { GPU } from 'gpu.js';
import { createGpuJsBackend } from '../src/index.js';
import { type Measured, measure } from './step.js';

/** What the page's worker runs. */
export async function run(): Promise<Measured> {
  return measure(await createGpuJsBackend({ GPU, mode: 'webgl2' }), 2);
}
