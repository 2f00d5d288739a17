import { setFlagsFromString } from 'node:v8';

// Node 20 knows relaxed SIMD, behind a flag that can be set before the first module is compiled.
if (process.version.startsWith('v20.')) setFlagsFromString('--experimental-wasm-relaxed-simd');

const { createWasmBackend, hasRelaxedSimd } = await import('../src/index.js');

/** The builds of the kernels; `present` is false where the host does not run one. */
export const BUILDS = [
  { build: 'plain SIMD', relaxedSimd: false, present: true },
  {
    build: hasRelaxedSimd() ? 'relaxed SIMD' : 'relaxed SIMD (not in this runtime)',
    relaxedSimd: true,
    present: hasRelaxedSimd(),
  },
] as const;

export { createWasmBackend, hasRelaxedSimd };
