import fc from 'fast-check';
import { expect, test } from 'vitest';
import { failure, phi2Tensors } from '../test/support.js';
import {
  bytesSource,
  type NamedTensor,
  openSafetensors,
  SAFETENSORS_DTYPES,
  safetensorsChunks,
  writeSafetensors,
} from './index.js';
import { planFile } from './write-header.js';

test('what is written reads back, for any names, dtypes and shapes', async () => {
  const tensor = fc
    .record({
      dtype: fc.constantFrom(...SAFETENSORS_DTYPES),
      // A last size of 4 fills whole bytes in every dtype.
      shape: fc.array(fc.nat(3), { maxLength: 3 }).map((sizes) => [...sizes, 4]),
    })
    .map(({ dtype, shape }): NamedTensor => {
      const count = shape.reduce((product, size) => product * size, 1);
      const bits =
        dtype === 'F4'
          ? 4
          : dtype.startsWith('F6_')
            ? 6
            : /64/.test(dtype)
              ? 64
              : /32/.test(dtype)
                ? 32
                : /16/.test(dtype)
                  ? 16
                  : 8;
      const data = Uint8Array.from({ length: (count * bits) / 8 }, (_, i) => (i * 37) & 255);
      return { dtype, shape, data };
    });
  const name = fc.string({ unit: 'grapheme' }).filter((text) => text !== '__metadata__');
  const text = fc.string({ unit: 'grapheme' });
  await fc.assert(
    fc.asyncProperty(
      fc.dictionary(name, tensor, { maxKeys: 6 }),
      fc.option(fc.dictionary(text, text, { maxKeys: 3 }), { nil: undefined }),
      async (tensors, metadata) => {
        const bytes = writeSafetensors(tensors, metadata);
        const file = await openSafetensors(bytesSource(bytes));
        expect(Object.entries(file.metadata).sort()).toEqual(Object.entries(metadata ?? {}).sort());
        expect(file.tensors.size).toBe(Object.keys(tensors).length);
        for (const [key, { dtype, shape, data }] of Object.entries(tensors)) {
          const entry = file.tensors.get(key)!;
          expect(entry).toMatchObject({ dtype, shape });
          expect(await file.readBytes(key)).toEqual(data);
        }
      },
    ),
    { numRuns: 200 },
  );
});

test('aligns the data to 8 bytes and sorts metadata keys', () => {
  const bytes = writeSafetensors({}, { z: '1', a: '2' });
  expect(new TextDecoder().decode(bytes.subarray(8))).toBe(
    '{"__metadata__":{"a":"2","z":"1"}}      ',
  );
});

test('takes any view, also a part of a buffer', async () => {
  const all = new Float64Array([0, 1.5, 2.5, 0]);
  const bytes = writeSafetensors({
    a: { dtype: 'F64', shape: [2], data: all.subarray(1, 3) },
    b: {
      dtype: 'U8',
      shape: [3],
      data: new DataView(new Uint8Array([9, 1, 2, 3, 9]).buffer, 1, 3),
    },
  });
  const file = await openSafetensors(bytesSource(bytes));
  expect(Array.from(await file.readFloat32('a'))).toEqual([1.5, 2.5]);
  expect(await file.readBytes('b')).toEqual(new Uint8Array([1, 2, 3]));
});

test('streams tensors in the order of the file, each asked for when the one before was taken', async () => {
  const log: string[] = [];
  const infos = [
    { name: 'b', dtype: 'U8', shape: [1] },
    { name: 'none', dtype: 'U8', shape: [0] },
    { name: 'a', dtype: 'U8', shape: [1] },
    { name: 'wide', dtype: 'F32', shape: [1] },
  ] as const;
  const data = async (name: string) => {
    log.push(`read ${name}`);
    const length = { wide: 4, none: 0 }[name] ?? 1;
    return new Uint8Array(length);
  };
  for await (const chunk of safetensorsChunks(infos, data)) log.push(`got ${chunk.length}`);
  const header = Number(/\d+/.exec(log[0]!)![0]);
  expect(header % 8).toBe(0);
  expect(log.slice(1)).toEqual([
    'read wide',
    'got 4',
    'read a',
    'got 1',
    'read b',
    'got 1',
    'read none',
  ]);
});

test("gives Phi-2's files the size that the Hub's have", () => {
  // 423 and 30 tensors: model-0000{1,2}-of-00002.safetensors of microsoft/phi-2
  const infos = phi2Tensors();
  const first = planFile(infos.slice(0, 423), { format: 'pt' });
  const second = planFile(infos.slice(423), { format: 'pt' });
  expect(first.byteLength).toBe(4_995_584_424);
  expect(second.byteLength).toBe(563_832_976);
  expect(first.header.byteLength - 8).toBe(46_496);
});

const u8 = (shape: number[], length = 1) =>
  ({ dtype: 'U8', shape, data: new Uint8Array(length) }) as const;

test.each([
  ['the reserved name', { __metadata__: u8([1]) }, 'SAFETENSORS_NAME'],
  ['half a surrogate pair', { '\ud800': u8([1]) }, 'SAFETENSORS_NAME'],
  ['too little data', { a: u8([2]) }, 'SAFETENSORS_DATA_LENGTH'],
  ['too much data', { a: u8([0]) }, 'SAFETENSORS_DATA_LENGTH'],
  ['a negative size', { a: u8([-1]) }, 'SAFETENSORS_SHAPE'],
  ['half a size', { a: u8([0.5]) }, 'SAFETENSORS_SHAPE'],
  ['a size beyond 2^53', { a: u8([2 ** 53]) }, 'SAFETENSORS_SHAPE'],
  ['a product beyond 2^53', { a: u8([2 ** 30, 2 ** 30]) }, 'SAFETENSORS_OVERFLOW'],
  ['half a byte', { a: { ...u8([1]), dtype: 'F4' } }, 'SAFETENSORS_MISALIGNED'],
  ['an unknown dtype', { a: { ...u8([1]), dtype: 'F128' as 'F64' } }, 'SAFETENSORS_DTYPE'],
] as [string, Record<string, NamedTensor>, string][])('refuses %s', async (_, tensors, code) => {
  const error = await failure(() => writeSafetensors(tensors));
  expect(error.code).toBe(code);
  expect(error.details.tensor).toBe(Object.keys(tensors)[0]);
});

test('refuses names given twice, bad metadata, and data that a stream gets wrong', async () => {
  const twice = ['a', 'a'].map((name) => ({ name, dtype: 'U8', shape: [1] }) as const);
  const error = await failure(() => safetensorsChunks(twice, () => new Uint8Array(1)));
  expect(error).toMatchObject({ code: 'SAFETENSORS_NAME', details: { tensor: 'a' } });
  const number = { epoch: 3 } as unknown as Record<string, string>;
  expect((await failure(() => writeSafetensors({}, number))).code).toBe('SAFETENSORS_METADATA');
  expect((await failure(() => writeSafetensors({}, { a: '\udc00' }))).code).toBe(
    'SAFETENSORS_NAME',
  );
  const short = await failure(async () => {
    for await (const _ of safetensorsChunks(twice.slice(1), () => new Uint8Array(0)));
  });
  expect(short).toMatchObject({
    code: 'SAFETENSORS_DATA_LENGTH',
    details: { got: 0, expected: 1 },
  });
  const large = [0, 1].map((i) => ({ name: `${i}`, dtype: 'U8', shape: [2 ** 52] }) as const);
  expect((await failure(() => safetensorsChunks(large, () => new Uint8Array(0)))).code).toBe(
    'SAFETENSORS_OVERFLOW',
  );
});

test('refuses a header above the cap of every reader', async () => {
  const metadata = { notes: 'x'.repeat(100_000_000) };
  expect((await failure(() => writeSafetensors({}, metadata))).code).toBe(
    'SAFETENSORS_HEADER_TOO_LARGE',
  );
});
