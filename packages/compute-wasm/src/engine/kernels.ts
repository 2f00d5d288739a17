import { QLoraError } from '@qlorajs/errors';
import { PLAIN, RELAXED } from '../generated/kernels.js';
import { host, type WasmModule } from './host.js';

/** Relaxed SIMD: `auto` takes it where the host knows it. */
export type RelaxedSimd = boolean | 'auto';

function bytesOf(build: typeof PLAIN, shared: boolean): Uint8Array {
  const bytes = Uint8Array.from(atob(build.base64), (character) => character.charCodeAt(0));
  // The limits of the imported memory: bit 0 says that a maximum follows, bit 1 that it is shared.
  if (!shared) bytes[build.sharedFlag] = 1;
  return bytes;
}

/** True when the host runs relaxed SIMD (Node 22 and later, current browsers). */
export function hasRelaxedSimd(): boolean {
  return host.WebAssembly.validate(bytesOf(RELAXED, true));
}

/**
 * Compiles the kernels. The choice depends on the host alone and not on a timing: the two builds
 * round differently, and a run must give the same bytes when it is repeated.
 */
export async function compileKernels(
  relaxedSimd: RelaxedSimd,
  shared: boolean,
): Promise<{ module: WasmModule; relaxed: boolean }> {
  const relaxed = relaxedSimd !== false && hasRelaxedSimd();
  if (relaxedSimd === true && !relaxed)
    throw new QLoraError(
      'COMPUTE_NO_RELAXED_SIMD',
      "this host has no relaxed SIMD; leave relaxedSimd at 'auto', or use Node 22 or later",
      { kind: 'input' },
    );
  const bytes = bytesOf(relaxed ? RELAXED : PLAIN, shared);
  try {
    return { module: await host.WebAssembly.compile(bytes), relaxed };
  } catch (cause) {
    throw new QLoraError(
      'COMPUTE_NO_SIMD',
      'this host does not run WebAssembly SIMD; use Node 20.19 or later, or a current browser',
      { kind: 'runtime', cause },
    );
  }
}
