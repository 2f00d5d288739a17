import { setFlagsFromString } from 'node:v8';

// Node 20 knows relaxed SIMD, behind a flag that can be set before the first module is compiled.
if (process.version.startsWith('v20.')) setFlagsFromString('--experimental-wasm-relaxed-simd');

const { createWasmBackend, hasRelaxedSimd } = await import('../src/index.js');

const relaxed = { relaxedSimd: true, present: hasRelaxedSimd() };
const plain = { relaxedSimd: false, present: true };
const absent = hasRelaxedSimd() ? '' : ' (not in this runtime)';

/** The builds of the kernels; `present` is false where the host does not run one. */
export const BUILDS = [
  { build: 'plain SIMD, tile 4x8', tile: '4x8', ...plain },
  { build: 'plain SIMD, tile 5x8', tile: '5x8', ...plain },
  { build: `relaxed SIMD, tile 6x8${absent}`, tile: '6x8', ...relaxed },
  { build: `relaxed SIMD, tile 6x16${absent}`, tile: '6x16', ...relaxed },
] as const;

export { createWasmBackend, hasRelaxedSimd };
