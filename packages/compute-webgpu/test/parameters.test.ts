/// <reference types="@webgpu/types" />
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Parameters } from '../src/device/parameters.js';
import { Shortage } from '../src/device/shortage.js';

/** A device whose buffers have a size and can be destroyed. */
function fakeDevice() {
  const sizes: number[] = [];
  const createBuffer = ({ size }: GPUBufferDescriptor) => {
    sizes.push(size);
    return { size, destroy() {} };
  };
  const [pushErrorScope, popErrorScope] = [() => {}, async () => null];
  const queue = { writeBuffer() {} };
  const device = { createBuffer, queue, pushErrorScope, popErrorScope } as unknown as GPUDevice;
  return { sizes, make: () => new Parameters(device, new Shortage(device), 256) };
}

test('ranges never overlap, leave the recording alone and are used again', () => {
  const command = fc.record({ count: fc.integer({ min: 1, max: 1500 }), drop: fc.nat(5) });
  fc.assert(
    fc.property(fc.array(command, { maxLength: 40 }), (commands) => {
      const parameters = fakeDevice().make();
      let held: { start: number; end: number }[] = [];
      for (const { count, drop } of commands) {
        const start = parameters.take(count);
        if (start !== null) {
          const range = { start, end: start + count };
          expect(start).toBeGreaterThanOrEqual(256);
          expect(range.end * 256).toBeLessThanOrEqual(4096 * 256);
          expect(held.some((each) => each.start < range.end && range.start < each.end)).toBe(false);
          held.push(range);
        } else if (held.length === 0) expect(count).toBeGreaterThan(4096 - 256);
        if (drop < held.length) {
          parameters.give(held[drop].start);
          held = held.filter((_, i) => i !== drop);
        }
      }
    }),
  );
});

test('a larger buffer has room for what did not fit', () => {
  const { make, sizes } = fakeDevice();
  const parameters = make();
  expect(parameters.take(5000)).toBeNull();
  parameters.grow(5000);
  expect(parameters.take(5000)).toBe(256);
  expect(sizes).toEqual([4096 * 256, (256 + 2 * 5000) * 256]);
});
