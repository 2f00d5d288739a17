import { isQLoraError } from '@qlorajs/errors';
import { expect, test } from 'vitest';
import { openSafetensors, writeSafetensors } from '../src/index.js';
import { fileOf, watchedSource } from './support.js';

/** Another seed: FUZZ_SEED=7 npx vitest run packages/safetensors/test/fuzz */
const SEED = Number(process.env.FUZZ_SEED ?? 20_261_124);
const MUTATIONS = 200_000;

type Random = (below: number) => number;

/** mulberry32: small, seeded, good enough to choose mutations. */
function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

const bytes = (length: number) => new Uint8Array(length);
const ORIGINALS = [
  writeSafetensors(
    {
      'model.w': { dtype: 'F32', shape: [2, 3], data: bytes(24) },
      'model.b': { dtype: 'F16', shape: [3], data: bytes(6) },
      empty: { dtype: 'BF16', shape: [0, 4], data: bytes(0) },
      'é"\n': { dtype: 'F4', shape: [2, 2], data: bytes(2) },
    },
    { format: 'pt', note: '\\' },
  ),
  writeSafetensors({ a: { dtype: 'U8', shape: [], data: bytes(1) } }),
  writeSafetensors({
    a: { dtype: 'I64', shape: [1, 1, 2], data: bytes(16) },
    b: { dtype: 'F6_E3M2', shape: [8], data: bytes(6) },
  }),
  fileOf(
    '{"b":{"shape":[1],"data_offsets":[1,2],"dtype":"U8"}, "a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}}',
    2,
  ),
];

/** What breaks parsers: pieces of the grammar, extreme numbers, names with powers, broken UTF-8. */
const PIECES = [
  ...['{', '}', '[', ']', ',', ':', '"', '\\', '\\u', '\\ud800', '\\u0061', ' ', '\n', '\t', '\0'],
  ...[
    '0',
    '1',
    '-1',
    '00',
    '1.5',
    '1e9',
    '2',
    '3',
    '4',
    '6',
    '8',
    '24',
    '30',
    'null',
    'true',
    '""',
  ],
  ...['9007199254740991', '9007199254740992', '18446744073709551615', '1'.repeat(400)],
  ...['"a"', '"b"', '"dtype"', '"shape"', '"data_offsets"', '"__metadata__"', '"__proto__"'],
  ...['"U8"', '"F16"', '"F4"', '"F6_E2M3"', '"F64"', '"F128"', '[0,0]', '[0,1]', '[]', '{}', '[[['],
  ...['"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},', '"x":"y",', '\ufeff', '\u{1f600}'],
]
  .map((text) => new TextEncoder().encode(text))
  .concat([
    new Uint8Array([0xff]),
    new Uint8Array([0xc0, 0x80]),
    new Uint8Array([0xed, 0xa0, 0x80]),
  ]);

function splice(from: Uint8Array, at: number, removed: number, piece: Uint8Array): Uint8Array {
  const rest = from.subarray(at + removed);
  const out = new Uint8Array(at + piece.byteLength + rest.byteLength);
  out.set(from.subarray(0, at));
  out.set(piece, at);
  out.set(rest, at + piece.byteLength);
  return out;
}

function mutateHeader(header: Uint8Array, random: Random): Uint8Array {
  const at = random(header.byteLength + 1);
  const removed = Math.min(random(8), header.byteLength - at);
  const piece = PIECES[random(PIECES.length)]!;
  const bytesFrom = (length: number) => {
    const from = random(header.byteLength + 1);
    return header.subarray(from, from + length);
  };
  switch (random(7)) {
    case 0:
      return splice(header, at, Math.min(1, removed), new Uint8Array([random(256)]));
    case 1:
      return splice(header, at, 0, piece);
    case 2:
      return splice(header, at, removed, piece);
    case 3:
      return splice(header, at, removed, new Uint8Array());
    case 4:
      return splice(header, at, removed, bytesFrom(random(60)));
    case 5:
      return replaceToken(header, /\d+/g, piece, random);
    default:
      return replaceToken(header, /"[^"]*"/g, piece, random);
  }
}

/** Keeps the grammar more often than blind cuts do, and so reaches the checks behind it. */
function replaceToken(
  header: Uint8Array,
  pattern: RegExp,
  piece: Uint8Array,
  random: Random,
): Uint8Array {
  const latin = String.fromCharCode(...header);
  const tokens = [...latin.matchAll(pattern)];
  if (tokens.length === 0) return header;
  const token = tokens[random(tokens.length)]!;
  const other = tokens[random(tokens.length)]![0];
  const replacement =
    random(2) === 0 ? piece : Uint8Array.from(other, (letter) => letter.charCodeAt(0));
  return splice(header, token.index, token[0].length, replacement);
}

function mutate(original: Uint8Array, random: Random): Uint8Array {
  const headerBytes = Number(new DataView(original.buffer).getBigUint64(0, true));
  let header = original.subarray(8, 8 + headerBytes);
  for (let i = random(3); i >= 0; i--) header = mutateHeader(header, random);
  const data = original.byteLength - 8 - headerBytes;
  const file = fileOf(header, random(20) === 0 ? random(data + 4) : data);
  switch (random(40)) {
    case 0:
      return file.slice(0, random(file.byteLength));
    case 1:
      file[random(8)] = random(256);
      return file;
    default:
      return file;
  }
}

/** True for a file that a second, plain reading finds sound: JSON.parse, BigInt and nothing shared. */
function soundByHand(file: Uint8Array, tensors: number): boolean {
  const size = Number(new DataView(file.buffer).getBigUint64(0, true));
  const text = new TextDecoder('utf-8', { fatal: true }).decode(file.subarray(8, 8 + size));
  const { __metadata__: metadata, ...rest } = JSON.parse(text) as Record<string, unknown>;
  if (Object.values(metadata ?? {}).some((value) => typeof value !== 'string')) return false;
  const bits: Record<string, bigint> = { F4: 4n, F6_E2M3: 6n, F6_E3M2: 6n, C64: 64n, BOOL: 8n };
  const entries = Object.values(rest).map((value) => {
    const { dtype, shape, data_offsets } = value as Record<string, (string | number)[]>;
    const [, width] = /^(?:BF|F|I|U)(\d+)/.exec(String(dtype)) ?? [];
    const count = shape!.reduce((product, each) => product * BigInt(each), 1n);
    const total = count * (bits[String(dtype)] ?? BigInt(width!));
    return { start: Number(data_offsets![0]), end: Number(data_offsets![1]), total };
  });
  entries.sort((a, b) => a.start - b.start || a.end - b.end);
  let end = 0;
  for (const entry of entries) {
    if (entry.start !== end || BigInt(entry.end - entry.start) * 8n !== entry.total) return false;
    end = entry.end;
  }
  return entries.length === tensors && 8 + size + end === file.byteLength;
}

const FLOATS = new Set(['F64', 'F32', 'F16', 'BF16']);

async function verdict(file: Uint8Array): Promise<string> {
  const source = watchedSource(file);
  try {
    const opened = await openSafetensors(source);
    if (!soundByHand(file, opened.tensors.size)) throw new Error('an unsound file was accepted');
    for (const [name, { dtype, byteLength }] of opened.tensors) {
      const read = await opened.readBytes(name);
      if (read.byteLength !== byteLength) throw new Error(`${name}: ${read.byteLength} bytes`);
      if (FLOATS.has(dtype)) await opened.readFloat32(name);
    }
    return 'valid';
  } catch (error) {
    if (!isQLoraError(error)) throw error;
    if (!source.closed) throw new Error('a refused file was left open');
    return error.code;
  }
}

test(`${MUTATIONS} mutated headers are read or refused, never misread`, async () => {
  const random = randomFrom(SEED);
  const verdicts: Record<string, number> = {};
  for (let i = 0; i < MUTATIONS; i++) {
    const file = mutate(ORIGINALS[i % ORIGINALS.length]!, random);
    try {
      const code = await verdict(file);
      verdicts[code] = (verdicts[code] ?? 0) + 1;
    } catch (error) {
      const where = `FUZZ_SEED=${SEED}, mutation ${i}: ${Buffer.from(file).toString('base64')}`;
      throw new Error(`${where}\n${error}`, { cause: error });
    }
  }
  // The mutations reach every check, and enough of them get through all.
  expect(Object.keys(verdicts).sort()).toEqual([
    'SAFETENSORS_DTYPE',
    'SAFETENSORS_DUPLICATE_KEY',
    'SAFETENSORS_HEADER_JSON',
    'SAFETENSORS_HEADER_TOO_LARGE',
    'SAFETENSORS_HEADER_UTF8',
    'SAFETENSORS_MISALIGNED',
    'SAFETENSORS_OFFSETS',
    'SAFETENSORS_OVERFLOW',
    'SAFETENSORS_SIZE',
    'SAFETENSORS_TOO_SHORT',
    'SAFETENSORS_TRAILING_BYTES',
    'SAFETENSORS_TRUNCATED',
    'valid',
  ]);
  expect(verdicts.valid).toBeGreaterThan(MUTATIONS / 100);
});
