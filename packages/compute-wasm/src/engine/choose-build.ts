import { host, type KernelExports, type WasmModule } from './host.js';
import { type Build, compileBuild } from './kernels.js';

/** Milliseconds of one timing: longer than the clock of a page is coarse. */
const SAMPLE_MILLISECONDS = 0.3;
/** Timings of optimized code that each candidate gets at least. */
const LEAST_SAMPLES = 6;
const MOST_MILLISECONDS = 120;
/** Between two rounds while code is not optimized yet: the compiler's thread may need this core. */
const PAUSE_MILLISECONDS = 2;
/** Runs of the tile before V8 thinks of optimizing it. */
const FIRST_RUNS = 4;
/** Optimized code is this much faster than what runs at first, or more: 2.8 to 8 times as measured. */
const OPTIMIZED = 2;
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
  /** Milliseconds an operation: before the code is optimized, and the least afterwards. */
  first: number;
  best: number;
  /** Timings since the code was optimized. */
  samples: number;
}

async function prepare(build: Build, shared: boolean): Promise<Candidate> {
  const module = await compileBuild(build, shared);
  const memory = new host.WebAssembly.Memory({ initial: 2, maximum: 2, shared });
  // Any numbers but denormal ones.
  new Float32Array(memory.buffer).fill(1);
  const { exports: kernels } = await host.WebAssembly.instantiate(module, { env: { memory } });
  const [rows, columns] = build.tile.split('x').map(Number);
  const flop = 2 * rows * columns * DEPTH;
  return { build, module, kernels, flop, times: 1, first: 0, best: Infinity, samples: 0 };
}

/** Milliseconds of `times` runs of the tile. */
function run({ kernels }: Candidate, times: number): number {
  // Operands behind the first page: a fits 8 KB, b 20 KB.
  const [a, b, c] = [PAGE, PAGE + 8192, PAGE + 8192 + 32768];
  const started = performance.now();
  kernels.repeatProductTile(times, a, b, DEPTH, c);
  return performance.now() - started;
}

/** Compiles the code, and times it before it is optimized. */
function begin(candidate: Candidate): void {
  run(candidate, 1);
  const ms = Math.min(...[1, 2, 3].map(() => run(candidate, FIRST_RUNS)));
  candidate.first = ms / (FIRST_RUNS * candidate.flop);
}

/** One timing of a candidate, long enough for the clock. */
function sample(candidate: Candidate): void {
  const { flop, times } = candidate;
  const ms = run(candidate, times);
  if (ms < SAMPLE_MILLISECONDS) {
    candidate.times = 2 * times;
    return;
  }
  const each = ms / (times * flop);
  if (each * OPTIMIZED > candidate.first) return;
  candidate.samples++;
  candidate.best = Math.min(candidate.best, each);
}

const pause = () => new Promise<void>((resolve) => host.setTimeout(resolve, PAUSE_MILLISECONDS));

/** A build and its code. */
export interface ChosenBuild {
  readonly build: Build;
  readonly module: WasmModule;
}

/** What was chosen in this process, so that only its first backend takes the time. */
const chosen = new Map<string, Promise<ChosenBuild>>();

/**
 * The fastest of the builds that give the same bytes, found in a few milliseconds: which tile suits a
 * machine depends on its registers and on what the compiler makes of it, so it is measured.
 */
export function chooseBuild(builds: readonly Build[], shared: boolean): Promise<ChosenBuild> {
  const key = `${shared} ${builds.map(({ tile }) => tile)}`;
  const known = chosen.get(key);
  if (known) return known;
  const choice = choose(builds, shared);
  chosen.set(key, choice);
  choice.catch(() => chosen.delete(key));
  return choice;
}

async function choose(builds: readonly Build[], shared: boolean): Promise<ChosenBuild> {
  if (builds.length === 1)
    return { build: builds[0], module: await compileBuild(builds[0], shared) };
  const all = await Promise.all(builds.map((build) => prepare(build, shared)));
  const started = performance.now();
  for (const each of all) begin(each);
  const timed = () => all.every(({ samples }) => samples >= LEAST_SAMPLES);
  while (!timed() && performance.now() - started < MOST_MILLISECONDS) {
    for (const each of all) sample(each);
    if (all.some(({ samples }) => samples === 0)) await pause();
  }
  const [first, ...others] = all;
  // What was not optimized in time says nothing.
  if (!timed()) return first;
  const { build, module } = others.reduce(
    (fastest, each) => (each.best * MARGIN < fastest.best ? each : fastest),
    first,
  );
  return { build, module };
}
