import { type Backend, tensorFrom } from '@qlorajs/compute';
import { GPU } from 'gpu.js';
import { describe, expect, test } from '../../../../../tools/test/browser/page/vitest.js';
import { createGpuJsBackend } from '../../../src/index.js';

interface Lost {
  getExtension(name: 'WEBGL_lose_context'): { loseContext(): void };
  readPixels: (...args: unknown[]) => void;
}

interface Page {
  readonly OffscreenCanvas: { prototype: { getContext(...args: unknown[]): Lost } };
}

/** A backend, and the context that it opened. */
async function open(): Promise<{ backend: Backend; context: Lost }> {
  const { prototype } = (globalThis as unknown as Page).OffscreenCanvas;
  const { getContext } = prototype;
  let context: Lost | undefined;
  prototype.getContext = function (...args) {
    context ??= getContext.apply(this, args);
    return context;
  };
  const backend = await createGpuJsBackend({ GPU, mode: 'webgl2' });
  prototype.getContext = getContext;
  return { backend, context: context! };
}

/** The code and message of what `work` throws. */
async function errorOf(work: () => unknown): Promise<{ code: string; message: string }> {
  try {
    await work();
  } catch (error) {
    return error as { code: string; message: string };
  }
  throw new Error('nothing was thrown');
}

describe('WebGL', () => {
  test('a lost context is an error that says what to do, in operations and in reading', async () => {
    const { backend, context } = await open();
    const x = tensorFrom(backend, [1, 2, 3], [3]);
    backend.ops.axpby({ x, out: x, alpha: 2, beta: 0 });
    context.getExtension('WEBGL_lose_context').loseContext();
    const works = [
      () => backend.ops.axpby({ x, out: x, alpha: 2, beta: 0 }),
      () => backend.read(x),
      () => backend.empty('f32', [1]),
    ];
    for (const work of works) {
      const { code, message } = await errorOf(work);
      expect(code).toBe('GPUJS_CONTEXT_LOST');
      expect(/make a new backend/.test(message)).toBe(true);
    }
  });

  test('a tensor beyond the texture limit is an error that says what to do', async () => {
    const { backend } = await open();
    const most = backend.info.maxCells as number;
    const { code, message } = await errorOf(() => backend.empty('f32', [most + 1], 'embedding'));
    expect(code).toBe('GPUJS_LIMIT');
    expect(/embedding.*smaller batch/.test(message)).toBe(true);
    await backend.dispose();
  });

  test('results stay on the device: operations read nothing back', async () => {
    const { backend, context } = await open();
    const { readPixels } = context;
    let reads = 0;
    context.readPixels = function (...args) {
      reads++;
      readPixels.apply(this, args);
    };
    const x = tensorFrom(backend, [1, 2, 3, 4], [2, 2]);
    const out = backend.empty('f32', [2, 2]);
    const flags = { transposeA: false, transposeB: true, alpha: 1, beta: 0 };
    for (let i = 0; i < 3; i++) {
      backend.ops.matmul({ a: x, b: x, out, m: 2, n: 2, k: 2, ...flags });
      backend.ops.axpby({ x: out, out: x, alpha: 0.01, beta: 1 });
      backend.write(backend.view(x, 1, [2]), Float32Array.of(1, 2));
    }
    expect(reads).toBe(0);
    await backend.read(x);
    expect(reads).toBe(1);
    await backend.dispose();
  });
});
