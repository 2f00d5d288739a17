import { parsePhiConfig, phiTensors } from '@qlorajs/phi2-model';
import { expect, test } from 'vitest';
import {
  type GgufType,
  ggufChunks,
  ggufTensorName,
  loraMetadata,
  phi2Metadata,
  tokenizerMetadata,
} from '../src/index.js';

/** A reader by the specification, for these tests alone. */
class Reader {
  readonly view: DataView;
  at = 0;
  constructor(readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  /** Where the next bytes lie. */
  take(count: number): number {
    this.at += count;
    return this.at - count;
  }
  u32 = () => this.view.getUint32(this.take(4), true);
  u64 = () => Number(this.view.getBigUint64(this.take(8), true));
  text(): string {
    const length = this.u64();
    const start = this.take(length);
    return new TextDecoder().decode(this.bytes.subarray(start, start + length));
  }
  value(type = this.u32()): unknown {
    if (type === 4) return this.u32();
    if (type === 5) return this.view.getInt32(this.take(4), true);
    if (type === 6) return this.view.getFloat32(this.take(4), true);
    if (type === 7) return this.bytes[this.at++] === 1;
    if (type === 8) return this.text();
    const [inner, count] = [this.u32(), this.u64()];
    return Array.from({ length: count }, () => this.value(inner));
  }
}

async function read(chunks: AsyncIterable<Uint8Array>) {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  const reader = new Reader(bytes);
  expect([reader.u32(), reader.u32()]).toEqual([0x46554747, 3]);
  const [tensorCount, entryCount] = [reader.u64(), reader.u64()];
  const metadata = new Map<string, unknown>();
  for (let i = 0; i < entryCount; i++) metadata.set(reader.text(), reader.value());
  const tensors = Array.from({ length: tensorCount }, () => {
    const name = reader.text();
    const shape = Array.from({ length: reader.u32() }, () => reader.u64());
    return { name, shape, type: reader.u32(), offset: reader.u64() };
  });
  const start = Math.ceil(reader.at / 32) * 32;
  return { metadata, tensors, data: (offset: number) => bytes.subarray(start + offset) };
}

const config = parsePhiConfig({
  ...{ model_type: 'phi', vocab_size: 48, hidden_size: 32, intermediate_size: 64 },
  ...{ num_hidden_layers: 2, num_attention_heads: 2, partial_rotary_factor: 0.4 },
});

test.each(['F32', 'F16', 'Q8_0'] as const)('a whole model in %s', async (type) => {
  const values = (size: number) =>
    Float32Array.from({ length: size }, (_, i) => Math.sin(i + size));
  const tensors = [...phiTensors(config)].map(([name, shape]) => ({
    name: ggufTensorName(name),
    shape,
    type: (shape.length === 1 ? 'F32' : type) as GgufType,
    values: () => values(shape.reduce((a, b) => a * b, 1)),
  }));
  const file = await read(ggufChunks(phi2Metadata(config, 'tiny', type), tensors));
  expect(file.metadata.get('general.architecture')).toBe('phi2');
  expect(file.metadata.get('phi2.rope.dimension_count')).toBe(6);
  expect(file.tensors.map(({ name }) => name)).toContain('blk.1.ffn_down.weight');
  expect(new Set(file.tensors.map(({ name }) => name)).size).toBe(2 + 2 * 14 + 3);
  const fc1 = file.tensors.find(({ name }) => name === 'blk.0.ffn_up.weight')!;
  expect(fc1.shape).toEqual([32, 64]); // llama.cpp's order: columns first
  expect(fc1.offset % 32).toBe(0);
  const bytes = file.data(fc1.offset);
  const wanted = values(64 * 32);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  for (let i = 0; i < 64; i++) {
    if (type === 'F32') expect(view.getFloat32(4 * i, true)).toBe(wanted[i]);
    if (type !== 'Q8_0') continue;
    const block = 34 * Math.floor(i / 32);
    const half = view.getUint16(block, true);
    const scale = 2 ** ((half >> 10) - 15) * (1 + (half & 1023) / 1024);
    const code = view.getInt8(block + 2 + (i % 32));
    expect(Math.abs(scale * code - wanted[i])).toBeLessThan(0.51 * scale + 1e-3);
  }
});

test('what does not fit is refused', async () => {
  const tensor = {
    name: 'w',
    shape: [2, 3],
    type: 'F32' as const,
    values: () => new Float32Array(5),
  };
  await expect(read(ggufChunks(new Map(), [tensor]))).rejects.toThrowError(/5 values.* 6/);
  const blocks = { ...tensor, type: 'Q8_0' as const };
  await expect(read(ggufChunks(new Map(), [blocks]))).rejects.toThrowError(/divide into 32/);
  expect(() =>
    tokenizerMetadata({
      ...{ tokenizerJson: '{"model":{"type":"Unigram"}}', vocabSize: 1 },
      ...{ bosId: null, eosId: null, endOfTurnId: null, chatTemplate: null },
    }),
  ).toThrowError(/not BPE/);
});

test('a tokenizer: kinds of tokens, holes, merges in both spellings', async () => {
  const tokenizerJson = JSON.stringify({
    model: { type: 'BPE', vocab: { a: 0, b: 1, ab: 2 }, merges: [['a', 'b'], 'ab b'] },
    added_tokens: [
      { id: 3, content: '<|end|>', special: true },
      { id: 5, content: '  ', special: false },
    ],
  });
  const file = await read(
    ggufChunks(
      tokenizerMetadata({
        ...{ tokenizerJson, vocabSize: 7, bosId: 3, eosId: 3, endOfTurnId: null },
        chatTemplate: '{{ messages }}',
      }),
      [],
    ),
  );
  const get = (key: string) => file.metadata.get(`tokenizer.ggml.${key}`);
  expect(get('tokens')).toEqual(['a', 'b', 'ab', '<|end|>', '[PAD4]', '  ', '[PAD6]']);
  expect(get('token_type')).toEqual([1, 1, 1, 3, 5, 4, 5]);
  expect(get('merges')).toEqual(['a b', 'ab b']);
  expect(get('add_bos_token')).toBe(false);
  expect(file.metadata.get('tokenizer.chat_template')).toBe('{{ messages }}');
});

test('an adapter says so', async () => {
  const { metadata } = await read(ggufChunks(loraMetadata('x', 8), []));
  expect(metadata.get('general.type')).toBe('adapter');
  expect(metadata.get('adapter.lora.alpha')).toBe(8);
});
