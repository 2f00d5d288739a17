import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const phiNano = join(root, 'packages/phi-nano/model');

const SHAPES = [
  [512, 512, 512],
  [512, 2560, 2560],
  [2048, 320, 1280],
];

/** The checkpoint of the large part, written once into the git-ignored bench/.work; null without Python. */
function phi13(python, layers) {
  const folder = join(root, `bench/.work/phi-1.3b-${layers}`);
  if (existsSync(join(folder, 'config.json'))) return folder;
  if (!python) return null;
  const script = join(root, 'bench/peers/make_phi13.py');
  const { status } = spawnSync(python, [script, folder, '--layers', String(layers)], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return status === 0 ? folder : null;
}

/**
 * What is measured: what engines are started with (`start`), what each is asked in turn (`requests`),
 * the bounds in time, and how many bytes an engine may need.
 * @param {{ quick: boolean, python: string | null }} options
 */
export function parts({ quick, python }) {
  const training = quick
    ? { batchSize: 1, length: 32, r: 16 }
    : { batchSize: 8, length: 256, r: 16 };
  const tokens = quick ? 6 : 65;
  const seconds = quick ? 0.02 : 0.3;
  const gemms = ['f32', 'nf4'].flatMap((kind) =>
    SHAPES.map(([m, n, k]) => ({
      name: `${kind} ${m}x${n}x${k}`,
      request: { gemm: { kind, m, n, k, seconds } },
    })),
  );
  const { batchSize, length, r } = training;
  return [
    { name: 'gemm', title: 'Products x W^T, GFLOP/s', unit: 'gflops', requests: gemms },
    {
      name: 'step',
      title: `Training step of phi-nano: ${batchSize} x ${length} tokens, r ${r}, gradient checkpointing, AdamW; ms`,
      unit: 'ms',
      start: () => ({ folder: phiNano, ...training }),
      requests: [{ name: 'step', request: {} }],
    },
    {
      name: 'decode',
      title: `Greedy decoding of phi-nano, prompt of 32, ${tokens - 1} tokens; tokens/s`,
      unit: 'tokensPerSecond',
      start: () => ({ folder: phiNano, prompt: 32, tokens }),
      requests: [{ name: 'decode', request: {} }],
    },
    {
      name: 'decode-large',
      process: 'decode',
      title: `Greedy decoding of a Phi of 1.3 B parameters, prompt of 32, ${quick ? 5 : 16} tokens; tokens/s`,
      unit: 'tokensPerSecond',
      start: () => ({ folder: phi13(python, quick ? 2 : 24), prompt: 32, tokens: quick ? 6 : 17 }),
      requests: [{ name: 'decode', request: {} }],
      startSeconds: 300,
      sampleSeconds: 120,
      rounds: 3,
      needs: { nf4: 3.5e9, bf16: 4e9, f32: 7e9 },
    },
  ];
}
