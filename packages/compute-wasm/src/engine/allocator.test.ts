import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ALIGNMENT, Allocator } from './allocator.js';

test('blocks never overlap, are aligned, and all come back', () => {
  const steps = fc.array(
    fc.oneof(
      fc.record({ kind: fc.constant('take' as const), bytes: fc.integer({ min: 0, max: 5000 }) }),
      fc.record({ kind: fc.constant('give' as const), which: fc.nat(100) }),
    ),
    { maxLength: 200 },
  );
  fc.assert(
    fc.property(steps, (list) => {
      const allocator = new Allocator(100);
      let end = 0;
      const taken: { start: number; bytes: number }[] = [];
      for (const step of list) {
        if (step.kind === 'give') {
          const [block] = taken.splice(step.which % Math.max(1, taken.length), 1);
          if (block) allocator.free(block.start);
          continue;
        }
        const shortage = allocator.shortage(step.bytes);
        if (shortage > 0) {
          expect(allocator.allocate(step.bytes)).toBeNull();
          end = Math.max(end, 128) + shortage;
          allocator.extend(end);
        }
        const start = allocator.allocate(step.bytes)!;
        expect(start % ALIGNMENT).toBe(0);
        expect(start).toBeGreaterThanOrEqual(100);
        expect(start + step.bytes).toBeLessThanOrEqual(end);
        for (const other of taken)
          expect(
            start + step.bytes <= other.start || other.start + other.bytes <= start,
          ).toBeTruthy();
        taken.push({ start, bytes: Math.max(1, step.bytes) });
      }
      for (const block of taken) allocator.free(block.start);
      expect(allocator.freeBlocks).toBeLessThanOrEqual(1);
    }),
  );
});

test('takes the block that fits best', () => {
  const allocator = new Allocator(0);
  allocator.extend(10 * 64);
  const blocks = [3, 1, 1, 1, 2, 1].map((units) => allocator.allocate(units * 64)!);
  allocator.free(blocks[0]!);
  allocator.free(blocks[2]!);
  allocator.free(blocks[4]!);
  expect(allocator.allocate(64)).toBe(blocks[2]);
  expect(allocator.allocate(2 * 64)).toBe(blocks[4]);
  expect(allocator.allocate(3 * 64)).toBe(blocks[0]);
});

test('refuses an address that it did not give', () => {
  const allocator = new Allocator(0);
  allocator.extend(1024);
  const block = allocator.allocate(64)!;
  allocator.free(block);
  expect(() => allocator.free(block)).toThrowError(/is not allocated/);
});
