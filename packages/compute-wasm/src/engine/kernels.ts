import { QLoraError } from '@qlorajs/errors';
import { BUILDS } from '../generated/kernels.js';
import { host, type WasmModule } from './host.js';

/** Relaxed SIMD: `auto` takes it where the host knows it. */
export type RelaxedSimd = boolean | 'auto';

/** The kernels compiled for one arithmetic and one tile of the products. */
export type Build = (typeof BUILDS)[number];

/** Rows x columns of the products' inner kernel. */
export type ProductTile = Build['tile'];

function bytesOf(build: Build, shared: boolean): Uint8Array {
  const bytes = Uint8Array.from(atob(build.base64), (character) => character.charCodeAt(0));
  // The limits of the imported memory: bit 0 says that a maximum follows, bit 1 that it is shared.
  if (!shared) bytes[build.sharedFlag] = 1;
  return bytes;
}

/** True when the host runs relaxed SIMD (Node 22 and later, current browsers). */
export function hasRelaxedSimd(): boolean {
  return host.WebAssembly.validate(bytesOf(BUILDS.find(({ relaxed }) => relaxed)!, true));
}

/**
 * The builds that may run here: of one arithmetic, which depends on the host and the options alone,
 * so that a run gives the same bytes when it is repeated. All tiles of an arithmetic give the same bytes.
 */
export function candidates(relaxedSimd: RelaxedSimd, tile: ProductTile | 'auto'): Build[] {
  const relaxed = relaxedSimd !== false && hasRelaxedSimd();
  if (relaxedSimd === true && !relaxed)
    throw new QLoraError(
      'COMPUTE_NO_RELAXED_SIMD',
      "this host has no relaxed SIMD; leave relaxedSimd at 'auto', or use Node 22 or later",
      { kind: 'input' },
    );
  const known = BUILDS.filter((build) => build.relaxed === relaxed);
  const taken = known.filter((build) => tile === 'auto' || build.tile === tile);
  if (taken.length > 0) return taken;
  const tiles = known.map((build) => build.tile).join(', ');
  throw new QLoraError(
    'COMPUTE_OPTION',
    `createWasmBackend: tile is ${tile}; with ${relaxed ? 'relaxed' : 'plain'} SIMD give 'auto' or one of ${tiles}`,
    { details: { name: 'tile', value: tile, relaxedSimd: relaxed } },
  );
}

export async function compileBuild(build: Build, shared: boolean): Promise<WasmModule> {
  try {
    return await host.WebAssembly.compile(bytesOf(build, shared));
  } catch (cause) {
    throw new QLoraError(
      'COMPUTE_NO_SIMD',
      'this host does not run WebAssembly SIMD; use Node 20.19 or later, or a current browser',
      { kind: 'runtime', cause },
    );
  }
}
