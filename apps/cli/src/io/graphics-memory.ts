import { execFile } from 'node:child_process';
import { totalmem } from 'node:os';
import { promisify } from 'node:util';
import type { Backend } from '@qlorajs/compute';

/** A graphics card's memory, in bytes. */
export interface GraphicsMemory {
  readonly name: string;
  readonly total: number;
  readonly free: number;
}

/**
 * The memory of NVIDIA's cards, as `nvidia-smi` tells it: WebGPU tells nobody. Empty where there is no
 * such program or it does not answer within two seconds.
 */
export async function graphicsMemory(): Promise<GraphicsMemory[]> {
  const query = ['--query-gpu=name,memory.total,memory.free', '--format=csv,noheader,nounits'];
  try {
    const { stdout } = await promisify(execFile)('nvidia-smi', query, { timeout: 2000 });
    return parseGraphicsMemory(stdout);
  } catch {
    return [];
  }
}

/**
 * Bytes that a backend's tensors may take, as far as this machine tells: what the first NVIDIA card has
 * free, where that is the GPU; for the CPU engine the machine's memory, or the container's. Null where
 * nothing tells.
 */
export async function deviceMemory({
  name,
  info,
}: Pick<Backend, 'name' | 'info'>): Promise<number | null> {
  if (name === 'wasm') return Math.min(totalmem(), process.constrainedMemory() || totalmem());
  if (name !== 'webgpu' || !/nvidia/i.test(`${info.vendor} ${info.adapter}`)) return null;
  const [card] = await graphicsMemory();
  return card?.free ?? null;
}

/** Lines of `name, total MiB, free MiB`; others are left out. */
export function parseGraphicsMemory(text: string): GraphicsMemory[] {
  return text.split('\n').flatMap((row) => {
    const [name, total, free] = row.split(',').map((cell) => cell.trim());
    const [all, left] = [Number(total) * 2 ** 20, Number(free) * 2 ** 20];
    return name && all > 0 && left >= 0 ? [{ name, total: all, free: left }] : [];
  });
}
