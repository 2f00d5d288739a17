import { host, type KernelExports, type WasmModule } from './host.js';
import { type Build, compileBuild } from './kernels.js';

/** Milliseconds of one timing: longer than the clock of a page is coarse. */
const SAMPLE_MILLISECONDS = 0.3;
/** Until a kernel has been optimized it runs several times slower, so timing goes on this long. */
const LEAST_MILLISECONDS = 6;
const MOST_MILLISECONDS = 60;
/** How much faster than the first candidate another must be: what is as fast is not worth a change. */
const MARGIN = 1.04;
/** Depth of the timed product. */
const DEPTH = 320;
const PAGE = 65536;

interface Candidate {
  readonly build: Build;
  readonly module: WasmModule;
  readonly kernels: KernelExports;
  readonly flop: number;
  /** Runs of the tile in a sample. */
  times: number;
  /** Milliseconds of a million operations: the least seen, and when it was last improved on. */
  best: number;
  improved: number;
}

async function prepare(build: Build, shared: boolean): Promise<Candidate> {
  const module = await compileBuild(build, shared);
  const memory = new host.WebAssembly.Memory({ initial: 2, maximum: 2, shared });
  // Any numbers but denormal ones.
  new Float32Array(memory.buffer).fill(1);
  const { exports: kernels } = await host.WebAssembly.instantiate(module, { env: { memory } });
  const [rows, columns] = build.tile.split('x').map(Number);
  const flop = 2 * rows * columns * DEPTH;
  return { build, module, kernels, flop, times: 1, best: Number.POSITIVE_INFINITY, improved: 0 };
}

/** One timing of a candidate, long enough for the clock. */
function sample(candidate: Candidate, at: number): void {
  const { kernels, flop } = candidate;
  // Operands behind the first page: a fits 8 KB, b 20 KB.
  const [a, b, c] = [PAGE, PAGE + 8192, PAGE + 8192 + 32768];
  const started = performance.now();
  kernels.repeatProductTile(candidate.times, a, b, DEPTH, c);
  const ms = performance.now() - started;
  if (ms < SAMPLE_MILLISECONDS) {
    candidate.times *= 2;
    if (ms < SAMPLE_MILLISECONDS / 2) return;
  }
  const each = (1e6 * ms) / (candidate.times * flop);
  if (each > candidate.best * 0.98) return;
  candidate.best = each;
  candidate.improved = at;
}

/**
 * The fastest of the builds that give the same bytes, found in a few milliseconds: which tile suits a
 * machine depends on its registers and on what the compiler makes of it, so it is measured.
 */
export async function chooseBuild(
  builds: readonly Build[],
  shared: boolean,
): Promise<{ build: Build; module: WasmModule }> {
  if (builds.length === 1)
    return { build: builds[0], module: await compileBuild(builds[0], shared) };
  const all = await Promise.all(builds.map((build) => prepare(build, shared)));
  const started = performance.now();
  for (let now = 0; now < MOST_MILLISECONDS; now = performance.now() - started) {
    for (const each of all) sample(each, now);
    const since = Math.max(...all.map(({ improved }) => improved));
    if (now > LEAST_MILLISECONDS && now > 2 * since) break;
  }
  const [first, ...others] = all;
  const chosen = others.reduce(
    (fastest, each) => (each.best * MARGIN < fastest.best ? each : fastest),
    first,
  );
  return { build: chosen.build, module: chosen.module };
}
