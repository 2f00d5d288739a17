import type { Tensor } from '@qlorajs/compute';
import { afterEach, expect, test, vi } from 'vitest';
import { createGpuJsBackend } from '../src/index.js';

afterEach(() => vi.unstubAllGlobals());

/** WebGL2 with textures of 4 by 4 and a gpu.js that computes nothing; the context is lost at a word. */
async function open() {
  let lost = false;
  const context = {
    ...{ MAX_TEXTURE_SIZE: 1, RENDERER: 2 },
    getExtension: (name: string) => (name === 'EXT_color_buffer_float' ? {} : null),
    getParameter: (name: number) => (name === 1 ? 4 : 'fake'),
    isContextLost: () => lost,
  };
  vi.stubGlobal(
    'OffscreenCanvas',
    class {
      getContext = (mode: string) => (mode === 'webgl2' ? context : null);
    },
  );
  const kernel = Object.assign(() => new Float32Array(3), { setOutput() {} });
  class FakeGpu {
    addFunction() {}
    createKernel() {
      return kernel;
    }
    destroy() {}
  }
  const backend = await createGpuJsBackend({ GPU: FakeGpu });
  return { backend, lose: () => (lost = true) };
}

test('a page with WebGL2 is taken at its word: mode, renderer, the limit of its textures', async () => {
  const { backend } = await open();
  expect(backend.info).toEqual({ mode: 'webgl2', maxCells: 16, renderer: 'fake' });
  expect(backend.empty('f32', [16]).size).toBe(16);
  expect(backend.empty('u8', [48]).size).toBe(48);
  for (const [dtype, size] of [
    ['f32', 17],
    ['u8', 49],
  ] as const)
    expect(() => backend.empty(dtype, [size], 'model.embed_tokens.weight')).toThrow(
      expect.objectContaining({
        code: 'GPUJS_LIMIT',
        kind: 'runtime',
        details: { label: 'model.embed_tokens.weight', cells: 17, maxCells: 16 },
        message:
          "model.embed_tokens.weight takes 17 cells, and gpu.js in mode webgl2 has at most 16 (a texture's size, or the whole numbers of f32); use a smaller batch or a shorter sequence, or the backend webgpu or wasm",
      }),
    );
  // What was refused takes no memory.
  expect(backend.memory().live).toBe(4 * (16 + 16));
});

test('after the browser took the context away, everything says so and what to do', async () => {
  const { backend, lose } = await open();
  const x = backend.empty('f32', [3]);
  const works: readonly ((tensor: Tensor) => unknown)[] = [
    () => backend.empty('f32', [3]),
    (tensor) => backend.ops.axpby({ x: tensor, out: tensor, alpha: 2, beta: 0 }),
    (tensor) => backend.read(tensor),
  ];
  backend.ops.axpby({ x, out: x, alpha: 2, beta: 0 });
  lose();
  for (const work of works)
    await expect((async () => work(x))()).rejects.toMatchObject({
      code: 'GPUJS_CONTEXT_LOST',
      kind: 'runtime',
      message: expect.stringMatching(
        /^the browser took the WebGL context away .*make a new backend and load the model again/,
      ),
    });
  await backend.dispose(); // and giving back what is gone is no error
});
