import { expect, test } from 'vitest';
import { failure, fileOf, oneTensor, watchedSource } from '../test/support.js';
import {
  type ByteSource,
  blobSource,
  bytesSource,
  openSafetensors,
  type SafetensorsDtype,
  safetensorsChunks,
  toFloat32,
  writeSafetensors,
} from './index.js';

const sample = writeSafetensors(
  {
    w: { dtype: 'F16', shape: [2, 2], data: new Uint16Array([0x3c00, 0x4000, 0x4200, 0x4400]) },
    codes: { dtype: 'U8', shape: [5], data: new Uint8Array([1, 2, 3, 4, 5]) },
  },
  { format: 'pt' },
);

test('gives metadata, entries in the order of their bytes, bytes and floats', async () => {
  const file = await openSafetensors(bytesSource(sample, 'sample.safetensors'));
  expect(file.name).toBe('sample.safetensors');
  expect({ ...file.metadata }).toEqual({ format: 'pt' });
  const byteOffset = sample.byteLength - 13;
  expect([...file.tensors]).toEqual([
    ['w', { dtype: 'F16', shape: [2, 2], byteOffset, byteLength: 8 }],
    ['codes', { dtype: 'U8', shape: [5], byteOffset: byteOffset + 8, byteLength: 5 }],
  ]);
  expect(Array.from(await file.readFloat32('w'))).toEqual([1, 2, 3, 4]);
  expect(await file.readBytes('codes')).toEqual(new Uint8Array([1, 2, 3, 4, 5]));
  expect(await file.readBytes('codes', { offset: 1, length: 3 })).toEqual(
    new Uint8Array([2, 3, 4]),
  );
  expect(await file.readBytes('codes', { offset: 5, length: 0 })).toEqual(new Uint8Array(0));
});

test('reads no more than the header to open, and no more than asked for later', async () => {
  const source = watchedSource(sample);
  const file = await openSafetensors(source);
  expect(source.bytesRead).toBe(sample.byteLength - 13);
  source.bytesRead = 0;
  await file.readBytes('codes', { offset: 2, length: 2 });
  expect(source.bytesRead).toBe(2);
  await file.close();
  expect(source.closed).toBe(true);
});

test('closes the source of a file that it refuses', async () => {
  const source = watchedSource(fileOf('nonsense'));
  await failure(() => openSafetensors(source));
  expect(source.closed).toBe(true);
});

test('reads blobs, files and Node buffers alike', async () => {
  const shifted = Buffer.alloc(sample.byteLength + 3);
  shifted.set(sample, 3);
  for (const source of [
    blobSource(new Blob([new Uint8Array(sample)])),
    blobSource(new File([new Uint8Array(sample)], 'blob')),
    bytesSource(shifted.subarray(3), 'blob'),
  ]) {
    const file = await openSafetensors(source);
    expect(file.name).toBe('blob');
    expect(Array.from(await file.readFloat32('w'))).toEqual([1, 2, 3, 4]);
    expect((await file.readBytes('w')).constructor).toBe(Uint8Array);
  }
});

/** A file of any size that exists only where it is read: tensor `a`, then 8 bytes of `z`. */
function sparseSource(bytes: number): ByteSource {
  const ends = `"data_offsets":[0,${bytes}]},"z":{"dtype":"U8","shape":[8],"data_offsets":[${bytes},${bytes + 8}]`;
  const header = fileOf(`{"a":{"dtype":"U8","shape":[${bytes}],${ends}}}`);
  return {
    name: 'sparse.safetensors',
    size: header.byteLength + bytes + 8,
    async read(offset, length) {
      if (offset + length > this.size || length > 1000) throw new Error('read outside the file');
      if (offset < header.byteLength) return header.subarray(offset, offset + length);
      return Uint8Array.from({ length }, (_, i) => (offset + i) % 251);
    },
  };
}

test.each([2 ** 31 + 7, 2 ** 32 + 12_345, 2 ** 40, Number.MAX_SAFE_INTEGER - 1000])(
  'reads the end of a file of more than %d bytes',
  async (bytes) => {
    const source = sparseSource(bytes);
    const file = await openSafetensors(source);
    const a = file.tensors.get('a')!;
    expect(file.tensors.get('z')!.byteOffset).toBe(a.byteOffset + bytes);
    expect(a.byteOffset + bytes + 8).toBe(source.size);
    const expected = (offset: number, length: number) =>
      Array.from({ length }, (_, i) => Number((BigInt(a.byteOffset) + BigInt(offset + i)) % 251n));
    const last = await file.readBytes('a', { offset: bytes - 3, length: 3 });
    expect(Array.from(last)).toEqual(expected(bytes - 3, 3));
    expect(Array.from(await file.readBytes('z'))).toEqual(expected(bytes, 8));
  },
);

test('widens a tensor of several pieces', async () => {
  const count = 9 * 1024 * 1024 + 3; // 18 MiB of F16: two reads
  const halves = new Uint8Array(Uint16Array.from({ length: count }, (_, i) => i % 0x7c00).buffer);
  const infos = [{ name: 'a', dtype: 'F16', shape: [count] }] as const;
  const chunks: Uint8Array[] = [];
  for await (const chunk of safetensorsChunks(infos, () => halves)) chunks.push(chunk);
  const source = watchedSource(Buffer.concat(chunks));
  const file = await openSafetensors(source);
  source.reads = 0;
  const floats = await file.readFloat32('a');
  expect(source.reads).toBe(2);
  const whole = toFloat32(halves, 'F16');
  expect(Buffer.compare(Buffer.from(floats.buffer), Buffer.from(whole.buffer))).toBe(0);
});

test('names a source that returns too little or changed', async () => {
  const source = bytesSource(sample, 'short.safetensors');
  const file = await openSafetensors({
    ...source,
    read: async (offset, length) =>
      (await source.read(offset, length)).subarray(0, offset > 100 ? 1 : length),
  });
  const error = await failure(() => file.readFloat32('w'));
  expect(error).toMatchObject({ code: 'SAFETENSORS_SHORT_READ', kind: 'runtime' });
  expect(error.message).toContain('short.safetensors: asked for 8 bytes');
});

test('refuses unknown names, wrong ranges and integers as floats', async () => {
  const file = await openSafetensors(bytesSource(sample, 'sample.safetensors'));
  for (const name of ['W', '', 'toString', '__proto__']) {
    const error = await failure(() => file.readBytes(name));
    expect(error).toMatchObject({
      code: 'SAFETENSORS_TENSOR_NOT_FOUND',
      details: { tensor: name },
    });
  }
  for (const [offset, length] of [
    [-1, 1],
    [0, 6],
    [5, 1],
    [0, -1],
    [0.5, 1],
    [0, Number.NaN],
    [2 ** 53, 1],
  ] as const) {
    const error = await failure(() => file.readBytes('codes', { offset, length }));
    expect(error.code, `${offset} ${length}`).toBe('SAFETENSORS_RANGE');
  }
  const error = await failure(() => file.readFloat32('codes'));
  expect(error.code).toBe('SAFETENSORS_NOT_FLOAT');
  expect(error.message).toBe(
    'sample.safetensors: tensor "codes": U8 does not widen to f32 (F64, F32, F16 and BF16 do); read its bytes instead',
  );
});

test.each([
  ['', 'SAFETENSORS_TOO_SHORT', 'fetch the file again'],
  ['1234567', 'SAFETENSORS_TOO_SHORT', 'fetch the file again'],
  ['version https://git-lfs.github.com/spec/v1\n', 'SAFETENSORS_HEADER_TOO_LARGE', 'git lfs pull'],
  ['PK\x03\x04\x00\x00\x08\x08', 'SAFETENSORS_HEADER_TOO_LARGE', 'safe_serialization=True'],
  ['GGUF\x03\x00\x00\x00\x00', 'SAFETENSORS_HEADER_TOO_LARGE', 'GGUF'],
  ['<!doctype html>', 'SAFETENSORS_HEADER_TOO_LARGE', 'no safetensors file'],
  ['\x01\xe1\xf5\x05\x00\x00\x00\x00', 'SAFETENSORS_HEADER_TOO_LARGE', '100000001 bytes'],
  ['\x00\xe1\xf5\x05\x00\x00\x00\x00', 'SAFETENSORS_TRUNCATED', 'ends at 100000008'],
  ['\x03\x00\x00\x00\x00\x00\x00\x00{}', 'SAFETENSORS_TRUNCATED', 'ends at 11'],
])('says what is wrong with a file that starts with %j', async (text, code, hint) => {
  const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  const error = await failure(() => openSafetensors(bytesSource(bytes, 'x.safetensors')));
  expect(error.code).toBe(code);
  expect(error.message).toContain('x.safetensors: ');
  expect(error.message).toContain(hint);
});

test('refuses a header that is not UTF-8, also where only names are wrong', async () => {
  for (const bad of [
    [0xff],
    [0xc0, 0x80],
    [0xed, 0xa0, 0x80],
    [0xf4, 0x90, 0x80, 0x80],
    [0xe2, 0x82],
  ]) {
    const header = new TextEncoder().encode(oneTensor('U8', [0], 0));
    const bytes = fileOf(new Uint8Array([...header.slice(0, 2), ...bad, ...header.slice(2)]));
    const error = await failure(() => openSafetensors(bytesSource(bytes)));
    expect(error.code, `${bad}`).toBe('SAFETENSORS_HEADER_UTF8');
  }
});

test('keeps names that are dangerous as properties apart from objects', async () => {
  const header =
    '{"__metadata__":{"__proto__":"m","constructor":"c"},"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}';
  const file = await openSafetensors(bytesSource(fileOf(header, 1)));
  expect(file.tensors.has('__proto__')).toBe(true);
  expect(await file.readBytes('__proto__')).toEqual(new Uint8Array(1));
  expect(Object.entries(file.metadata)).toEqual([
    ['__proto__', 'm'],
    ['constructor', 'c'],
  ]);
  expect(file.metadata.toString).toBeUndefined();
  expect(({} as { dtype?: string }).dtype).toBeUndefined();
});

test.each([
  ['F4', [3], 'SAFETENSORS_MISALIGNED', 2],
  ['F6_E2M3', [2], 'SAFETENSORS_MISALIGNED', 2],
  ['U64', [2 ** 50, 8], 'SAFETENSORS_OVERFLOW', 0],
  ['F64', [2 ** 51], 'SAFETENSORS_OVERFLOW', 0],
  ['U8', [2 ** 30, 2 ** 30, 0], 'SAFETENSORS_OVERFLOW', 0],
  ['F32', [2], 'SAFETENSORS_SIZE', 7],
])('refuses %s %j by its code', async (dtype, shape, code, bytes) => {
  const source = bytesSource(fileOf(oneTensor(dtype, shape, bytes), bytes), 'x.safetensors');
  const error = await failure(() => openSafetensors(source));
  expect(error).toMatchObject({ code, details: { file: 'x.safetensors', tensor: 'a' } });
});

test.each([
  ['F4', 4, 2],
  ['F6_E2M3', 8, 6],
  ['F6_E3M2', 4, 3],
] as [SafetensorsDtype, number, number][])(
  'reads %s: %d elements in %d bytes',
  async (dtype, count, bytes) => {
    const data = Uint8Array.from({ length: bytes }, (_, i) => i + 1);
    const written = writeSafetensors({ a: { dtype, shape: [count], data } });
    const file = await openSafetensors(bytesSource(written));
    expect(await file.readBytes('a')).toEqual(data);
  },
);

test('a hostile name does not flood the message', async () => {
  const header = `{"${'x'.repeat(1e6)}":{"dtype":"U8","shape":[2],"data_offsets":[0,1]}}`;
  const error = await failure(() => openSafetensors(bytesSource(fileOf(header, 1))));
  expect(error.code).toBe('SAFETENSORS_SIZE');
  expect(error.message.length).toBeLessThan(500);
});
