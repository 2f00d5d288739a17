import { expect, test } from 'vitest';
import {
  bytesSource,
  memoryFolder,
  type NamedTensor,
  openCheckpoint,
  openSafetensors,
  type SafetensorsDtype,
  safetensorsChunks,
  writeSafetensors,
} from '../src/index.js';
import { failure, fileOf, fixture, jsonFixture } from './support.js';

interface GoldenFile {
  readonly name: string;
  readonly metadata: Record<string, string> | null;
  readonly tensors: readonly {
    readonly name: string;
    readonly dtype: SafetensorsDtype;
    readonly shape: number[];
    readonly data: string;
  }[];
  readonly file: string;
}

const { cases: files } = jsonFixture<{ cases: GoldenFile[] }>('files.json');

function decode(base64: string): Uint8Array {
  return new Uint8Array(Buffer.from(base64, 'base64'));
}

test.each(files)('writes the bytes of the Rust library: $name', async (golden) => {
  const entries = golden.tensors.map(
    ({ name, dtype, shape, data }) => [name, { dtype, shape, data: decode(data) }] as const,
  );
  const tensors: Record<string, NamedTensor> = Object.fromEntries(entries);
  const metadata = golden.metadata ?? undefined;
  expect(writeSafetensors(tensors, metadata)).toEqual(decode(golden.file));

  const given = new Map(entries);
  const chunks: number[] = [];
  const streamed = safetensorsChunks(golden.tensors, (name) => given.get(name)!.data, metadata);
  for await (const chunk of streamed) chunks.push(...chunk);
  expect(new Uint8Array(chunks)).toEqual(decode(golden.file));
});

test.each(files)('reads the file of the Rust library: $name', async (golden) => {
  const file = await openSafetensors(bytesSource(decode(golden.file), golden.name));
  expect({ ...file.metadata }).toEqual(golden.metadata ?? {});
  expect([...file.tensors.keys()].sort()).toEqual(golden.tensors.map(({ name }) => name).sort());
  for (const { name, dtype, shape, data } of golden.tensors) {
    expect(file.tensors.get(name)).toMatchObject({ dtype, shape });
    expect(await file.readBytes(name)).toEqual(decode(data));
  }
});

interface Header {
  readonly header: string;
  readonly dataBytes: number;
}

const headers = jsonFixture<{
  sound: Header[];
  refused: (Header & { rust: string })[];
  taken: Header[];
}>('refusals.json');

const open = ({ header, dataBytes }: Header) =>
  openSafetensors(bytesSource(fileOf(header, dataBytes), 'x.safetensors'));

test.each(headers.sound)('reads $header', async (header) => {
  await open(header);
});

/** The Rust reader's words and the code that stands for them here; the first that fits counts. */
const CODES: readonly [rust: RegExp, code: RegExp][] = [
  [/^incomplete metadata/, /^SAFETENSORS_(TRUNCATED|TRAILING_BYTES)$/],
  [/^invalid offset for tensor/, /^SAFETENSORS_OFFSETS$/],
  [/^invalid shape, data type, or offset/, /^SAFETENSORS_(SIZE|OFFSETS)$/],
  [/^overflow/, /^SAFETENSORS_OVERFLOW$/],
  [/does not end up at a byte boundary/, /^SAFETENSORS_MISALIGNED$/],
  [/duplicate field/, /^SAFETENSORS_DUPLICATE_KEY$/],
  [/unknown variant/, /^SAFETENSORS_DTYPE$/],
  [/floating point `1.8446744073709552e\+19`/, /^SAFETENSORS_OVERFLOW$/],
  [/^invalid JSON in header/, /^SAFETENSORS_HEADER_JSON$/],
];

test.each(headers.refused)(
  'refuses $header + $dataBytes bytes as Rust does: $rust',
  async (header) => {
    const error = await failure(() => open(header));
    const expected = CODES.find(([rust]) => rust.test(header.rust))?.[1];
    expect(error.code).toMatch(expected!);
    expect(error.message).toMatch(/^x\.safetensors: .+; .+/);
    // Where Rust names a tensor, so does the error here.
    if (/for tensor `/.test(header.rust)) expect(error.details.tensor).toMatch(/^[ab]$/);
  },
);

test('refuses what the format forbids and the Rust reader takes', async () => {
  const codes: string[] = [];
  for (const header of headers.taken) codes.push((await failure(() => open(header))).code);
  expect(codes).toEqual([
    'SAFETENSORS_HEADER_JSON', // white space before the header
    'SAFETENSORS_HEADER_JSON', // a newline after it
    'SAFETENSORS_HEADER_JSON', // a tab after it
    'SAFETENSORS_HEADER_JSON', // an unknown field
    'SAFETENSORS_DUPLICATE_KEY', // a tensor twice
    'SAFETENSORS_DUPLICATE_KEY', // a metadata key twice
    'SAFETENSORS_HEADER_JSON', // metadata that are null
    'SAFETENSORS_HEADER_JSON', // a tensor as an array
    'SAFETENSORS_OVERFLOW', // a size beyond 2^53 beside a 0
  ]);
});

test('reads a cut of a real sharded model', async () => {
  const names = [
    'model.safetensors.index.json',
    ...[1, 2, 3].map((n) => `model-0000${n}-of-00003.safetensors`),
  ];
  const folder = memoryFolder(names.map((name) => [name, fixture(`phi-nano-cut/${name}`)]));
  const expected = jsonFixture<Record<string, number[]>>('phi-nano-cut/expected.json');
  const model = await openCheckpoint(folder);
  expect([...model.tensors.keys()].sort()).toEqual(Object.keys(expected).sort());
  for (const [name, values] of Object.entries(expected)) {
    expect(Array.from(await model.readFloat32(name)), name).toEqual(values);
  }
});
