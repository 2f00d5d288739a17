/// <reference types="@webgpu/types" />
import { tensorFrom } from '@qlorajs/compute';
import { describe, expect, test } from 'vitest';
import { create } from 'webgpu';
import { scarceGpu } from '../../../tools/test/scarce-gpu.js';
import { createWebGpuBackend, type WebGpuBackend } from '../src/index.js';
import { findGpu } from './find-gpu.js';

const { gpu, reason } = await findGpu();
const open = (given: GPU) => createWebGpuBackend({ gpu: given, tier: 'f32' });

/** x = 2 x, on the device. */
async function doubled(backend: WebGpuBackend, values: readonly number[]): Promise<number[]> {
  const x = tensorFrom(backend, values, [values.length], 'x');
  backend.ops.axpby({ x, out: x, alpha: 0, beta: 2 });
  const result = [...(await backend.read(x))];
  backend.free(x);
  return result;
}

describe.skipIf(!gpu)(`a driver without memory${reason ? `: skipped, ${reason}` : ''}`, () => {
  const RELEASE = ['skip_validation', 'disable_robustness'];

  test.each([
    ['with Dawn’s validation', []],
    ['without, as in a release', RELEASE],
  ])('Dawn in Node, %s: the call itself throws, and the backend goes on', async (_, toggles) => {
    const features = `enable-dawn-features=${['allow_unsafe_apis', ...toggles]}`;
    const dawn = create(['backend=vulkan', features]);
    const backend = await open(dawn);
    const kept = tensorFrom(backend, [1, 2, 3], [3], 'kept');
    // More than there can be, and no more than a buffer may have: the driver itself refuses it.
    const size = Number(backend.info.maxBufferBytes) / 4;
    const asked: number[] = [];
    const end = backend.onShortage((bytes) => asked.push(bytes) > 0);
    expect(() => backend.empty('f32', [size], 'logits')).toThrowError(
      expect.objectContaining({
        code: 'COMPUTE_OUT_OF_MEMORY',
        kind: 'runtime',
        message: expect.stringMatching(
          /^no room for logits of \d+ bytes beside 12 in use: .*(memory|MEMORY).*; use a smaller batch/,
        ),
        details: expect.objectContaining({ freed: true, label: 'logits', bytes: 4 * size }),
      }),
    );
    expect(asked).toEqual([4 * size]);
    end();
    expect(backend.memory().live).toBe(12);
    expect(await doubled(backend, [1, 2, 4])).toEqual([2, 4, 8]);
    expect([...(await backend.read(kept))]).toEqual([1, 2, 3]);
    await backend.dispose();
    expect(dawn).toBeDefined(); // Collected, it would end the process.
  });

  test('what others give back is asked for again', async () => {
    const scarcity = { bytes: Number.POSITIVE_INFINITY, late: false };
    const backend = await open(scarceGpu(gpu!, scarcity));
    const old = backend.empty('f32', [2 ** 18], 'old');
    await backend.sync();
    scarcity.bytes = 2 ** 21 + 2 ** 19;
    const end = backend.onShortage(() => {
      end();
      backend.free(old);
      return true;
    });
    const first = backend.empty('f32', [2 ** 18], 'first');
    expect(backend.memory().live).toBe(2 ** 20);
    expect(() => backend.empty('f32', [2 ** 18], 'second')).toThrowError(/no room for second/);
    expect([...(await backend.read(backend.view(first, 7, [2])))]).toEqual([0, 0]);
    await backend.dispose();
  });

  test('a browser tells later: no result is handed out until the buffers are freed', async () => {
    const scarcity = { bytes: Number.POSITIVE_INFINITY, late: true };
    const backend = await open(scarceGpu(gpu!, scarcity));
    const kept = tensorFrom(backend, [1, 2, 3], [3], 'kept');
    await backend.sync();
    scarcity.bytes = 0;
    const x = backend.empty('f32', [3], 'x');
    const y = backend.empty('f32', [3], 'y');
    backend.ops.axpby({ x: kept, out: x, alpha: 2, beta: 0 });
    backend.ops.axpby({ x, out: y, alpha: 2, beta: 0 });
    const short = { code: 'COMPUTE_OUT_OF_MEMORY', kind: 'runtime' };
    const refused = expect.objectContaining(short);
    scarcity.bytes = Number.POSITIVE_INFINITY; // There would be memory for what is read.
    await expect(backend.read(y)).rejects.toMatchObject({
      ...short,
      message: expect.stringMatching(/^no room for [xy] of 12 bytes: .*MEMORY/),
    });
    // It is no news once told: everything throws it.
    await expect(backend.read(kept)).rejects.toMatchObject(short);
    await expect(backend.sync()).rejects.toMatchObject(short);
    expect(() => backend.empty('f32', [1])).toThrowError(refused);
    expect(() => backend.ops.axpby({ x: kept, out: kept, alpha: 0, beta: 2 })).toThrowError(
      refused,
    );
    backend.free(x);
    await expect(backend.read(kept)).rejects.toMatchObject(short);
    backend.free(y);
    expect([...(await backend.read(kept))]).toEqual([1, 2, 3]);
    expect(await doubled(backend, [1, 2, 4])).toEqual([2, 4, 8]);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await doubled(backend, [5])).toEqual([10]);
    await backend.dispose();
  });

  test('a device that is lost for want of memory says so', async () => {
    const lost = Promise.resolve({
      reason: 'unknown',
      message: 'vkAllocateMemory failed with VK_ERROR_OUT_OF_DEVICE_MEMORY\n - While handling',
    });
    const fake = scarceGpu(gpu!, { bytes: Number.POSITIVE_INFINITY, late: false });
    const losing = {
      requestAdapter: async () => {
        const adapter = (await fake.requestAdapter())!;
        return new Proxy(adapter, {
          get(target, name) {
            if (name !== 'requestDevice') return Reflect.get(target, name);
            return async (descriptor: GPUDeviceDescriptor) =>
              new Proxy(await target.requestDevice(descriptor), {
                get: (device, key) => (key === 'lost' ? lost : Reflect.get(device, key)),
                set: (device, key, value) => Reflect.set(device, key, value),
              });
          },
        });
      },
    } as unknown as GPU;
    const backend = await open(losing);
    await lost;
    expect(() => backend.empty('f32', [1])).toThrowError(
      expect.objectContaining({
        code: 'WEBGPU_DEVICE_LOST',
        message: expect.stringContaining('lost (out of memory): vkAllocateMemory failed'),
        details: expect.objectContaining({ outOfMemory: true }),
      }),
    );
  });
});
