import os from 'node:os';
import { fileURLToPath } from 'node:url';
import { node24 } from './node24.mjs';

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));
const engine = path('../.build/engine.mjs');
const peers = path('../peers/engine.py');

/** The same cores for everybody, where the machine has more than the threads asked for. */
function onCores(threads, command, args) {
  if (process.platform !== 'linux' || os.cpus().length <= threads) return { command, args };
  return { command: 'taskset', args: ['-c', `0-${threads - 1}`, command, ...args] };
}

/**
 * Who is measured. `parts` are those that a variant takes part in, `start` what it is started with.
 * @param {{ threads: number, python: string | null }} options
 */
export function variants({ threads, python }) {
  const ours = (name, label, command, flags, parts) => ({
    name,
    label,
    ours: true,
    parts,
    start: { weights: 'nf4' },
    process: (start) => ({
      ...onCores(threads, command, [...flags, engine, JSON.stringify(start)]),
      env: {},
    }),
  });
  const theirs = (name, label, parts, start) => ({
    name,
    label,
    ours: false,
    parts,
    start,
    process: (options) => ({
      ...onCores(threads, python, [peers, JSON.stringify(options)]),
      env: {
        OMP_NUM_THREADS: String(threads),
        TOKENIZERS_PARALLELISM: 'false',
        HF_HUB_OFFLINE: '1',
      },
    }),
  });
  const all = ['gemm', 'step', 'decode', 'decode-large'];
  const list = [ours('node', `Node ${process.version}`, process.execPath, [], all)];
  const newer = Number(process.versions.node.split('.')[0]) < 22 ? node24() : null;
  // What `qlora --experimental-simd` sets in this Node.
  if (process.version.startsWith('v20.')) {
    const flag = '--experimental-wasm-relaxed-simd';
    list.push(
      ours(
        'node-relaxed',
        `Node ${process.version}, ${flag}`,
        process.execPath,
        [flag],
        ['gemm', 'step', 'decode'],
      ),
    );
  }
  if (newer) {
    const flag = '--experimental-wasm-revectorize';
    list.push(
      ours('node24', 'Node 24, relaxed SIMD', newer, [], all),
      ours('node24-revec', `Node 24, ${flag}`, newer, [flag], ['gemm', 'step', 'decode']),
    );
  }
  if (python)
    list.push(
      theirs('torch', 'torch.matmul; bitsandbytes.matmul_4bit', ['gemm'], {}),
      theirs('bnb-f32', 'bitsandbytes NF4, f32', all.slice(1), { weights: 'nf4', dtype: 'f32' }),
      theirs('bnb-bf16', 'bitsandbytes NF4, bf16', all.slice(1), { weights: 'nf4', dtype: 'bf16' }),
      theirs('hf-f32', 'no quantization, f32', all.slice(1), { weights: 'dense', dtype: 'f32' }),
      theirs('hf-bf16', 'no quantization, bf16', ['decode', 'decode-large'], {
        weights: 'dense',
        dtype: 'bf16',
      }),
    );
  return list;
}
