import { type Backend, createReferenceBackend, type Tensor, tensorFrom } from '@qlorajs/compute';
import { compareValues, randomTensor, randomWeight } from '@qlorajs/compute/testing';
import { afterAll, describe, expect, test } from 'vitest';
import { createWebGpuBackend } from '../src/index.js';
import { findGpu } from './find-gpu.js';

const { gpu, reason } = await findGpu();
const tolerance = { absolute: 1e-5, relative: 2e-3 }; // of f16 operands, where the GPU has them

describe.skipIf(!gpu)(`replayed operations${reason ? `: skipped, ${reason}` : ''}`, async () => {
  if (!gpu) return;
  const backend = await createWebGpuBackend({ gpu });
  afterAll(() => backend.dispose());
  const replay = (key: string, work: () => void) => backend.replay!(key, work);

  test('the contents are those of the time, and operations around keep their order', async () => {
    const run = async (device: Backend, play: (work: () => void) => void): Promise<number[][]> => {
      const x = randomTensor(device, [20, 64], 1);
      const weight = randomWeight(device, 'nf4-double', [48, 64], 2);
      const [out, back] = [randomTensor(device, [20, 48], 3), randomTensor(device, [20, 64], 4)];
      const values: number[][] = [];
      for (let round = 0; round < 4; round++) {
        device.ops.axpby({ x, out: x, alpha: 1, beta: 0.1 * round });
        play(() => {
          device.ops.linear({ x, weight, bias: null, out, accumulate: true });
          for (let i = 0; i < 200; i++) device.ops.axpby({ x: out, out, alpha: 0.01, beta: 0.99 });
          device.ops.linearBackward({ dOut: out, weight, dX: back, accumulate: false });
        });
        device.ops.axpby({ x: back, out: x, alpha: 0.01, beta: 0.5 });
        if (round === 2) device.write(out, new Float32Array(20 * 48).fill(0.5));
        values.push([...(await device.read(x))], [...(await device.read(out))]);
      }
      return values;
    };
    const actual = await run(backend, (work) => replay('layer', work));
    const expected = await run(createReferenceBackend(), (work) => work());
    expected.forEach((values, i) => {
      expect(compareValues(actual[i], values, tolerance)).toEqual([]);
    });
  });

  test('masks are those of the seed of the time', async () => {
    const run = async (device: Backend, play: (work: () => void, seed: number) => void) => {
      const x = randomTensor(device, [3, 100], 1);
      const whole = device.empty('f32', [3, 100]);
      const masks: number[][] = [];
      for (const seed of [7, 7, 8, 2 ** 32 - 1, 7]) {
        play(() => {
          for (let i = 0; i < 3; i++) {
            const [from, out] = [x, whole].map((each) => device.view(each, 100 * i, [100]));
            const mask = { probability: 0.4, seed, stream: 40 + i, first: 1000 * i };
            device.ops.dropout({ x: from, out, ...mask, accumulate: i === 1 });
          }
        }, seed);
        masks.push([...(await device.read(whole))]);
      }
      return masks;
    };
    const play = (work: () => void, seed: number) => backend.replay!('masks', work, seed);
    const actual = await run(backend, play);
    const expected = await run(createReferenceBackend(), (work) => work());
    expected.forEach((values, i) => {
      expect(compareValues(actual[i], values, tolerance)).toEqual([]);
    });
    expect(actual[2]).not.toEqual(actual[0]);
  });

  test('what uses a tensor that was freed is recorded anew', async () => {
    const double = (tensor: Tensor) => () => {
      backend.ops.axpby({ x: tensor, out: tensor, alpha: 1, beta: 1 });
    };
    for (let round = 0; round < 3; round++) {
      const tensor = tensorFrom(backend, [1, 2 + round], [2]);
      for (let i = 0; i < 3; i++) replay('double', double(tensor));
      expect([...(await backend.read(tensor))]).toEqual([8, 8 * (2 + round)]);
      backend.free(tensor);
    }
  });

  test('more is kept than parameters have room for at first', async () => {
    const sums = Array.from({ length: 6 }, () => tensorFrom(backend, [0], [1]));
    const one = tensorFrom(backend, [1], [1]);
    for (let round = 0; round < 3; round++)
      for (const [i, out] of sums.entries())
        replay(`sum ${i}`, () => {
          for (let n = 0; n < 900 + i; n++) backend.ops.axpby({ x: one, out, alpha: 1, beta: 1 });
        });
    for (const [i, sum] of sums.entries())
      expect([...(await backend.read(sum))]).toEqual([3 * (900 + i)]);
    for (const each of [...sums, one]) backend.free(each);
  });

  test('work that writes is run every time', async () => {
    const tensor = tensorFrom(backend, [0], [1]);
    const sum = tensorFrom(backend, [0], [1]);
    for (const value of [1, 10, 100])
      replay('writes', () => {
        backend.write(tensor, Float32Array.of(value));
        backend.ops.axpby({ x: tensor, out: sum, alpha: 1, beta: 1 });
      });
    expect([...(await backend.read(sum))]).toEqual([111]);
    for (const each of [tensor, sum]) backend.free(each);
  });
});
