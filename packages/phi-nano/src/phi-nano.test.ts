import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { phiNano } from './index.js';

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

const read = (file: string) => readFileSync(new URL(file, phiNano.folder));
const json = (file: string) => JSON.parse(read(file).toString('utf8'));
const config = json('config.json');
const index: { metadata: Record<string, number>; weight_map: Record<string, string> } = json(
  'model.safetensors.index.json',
);

/** `u64 header length, JSON header, data`: the safetensors layout, read without our own reader. */
function shard(file: string) {
  const bytes = read(file);
  const headerLength = Number(bytes.readBigUInt64LE(0));
  const { __metadata__: _, ...header } = JSON.parse(
    bytes.subarray(8, 8 + headerLength).toString('utf8'),
  );
  return { entries: header as Record<string, Entry>, dataLength: bytes.length - 8 - headerLength };
}

const shards = new Map(
  phiNano.files.filter((name) => name.endsWith('.safetensors')).map((name) => [name, shard(name)]),
);

/** Every tensor of `PhiForCausalLM` with its shape, from the config alone. */
function phiShapes(): Map<string, number[]> {
  const { hidden_size: hidden, intermediate_size: inner, vocab_size: vocab } = config;
  const shapes = new Map<string, number[]>([
    ['model.embed_tokens.weight', [vocab, hidden]],
    ['model.final_layernorm.weight', [hidden]],
    ['model.final_layernorm.bias', [hidden]],
    ['lm_head.weight', [vocab, hidden]],
    ['lm_head.bias', [vocab]],
  ]);
  for (let layer = 0; layer < config.num_hidden_layers; layer += 1) {
    const linear = (name: string, out: number, input: number) => {
      shapes.set(`model.layers.${layer}.${name}.weight`, [out, input]);
      shapes.set(`model.layers.${layer}.${name}.bias`, [out]);
    };
    for (const name of ['q_proj', 'k_proj', 'v_proj', 'dense']) {
      linear(`self_attn.${name}`, hidden, hidden);
    }
    linear('mlp.fc1', inner, hidden);
    linear('mlp.fc2', hidden, inner);
    shapes.set(`model.layers.${layer}.input_layernorm.weight`, [hidden]);
    shapes.set(`model.layers.${layer}.input_layernorm.bias`, [hidden]);
  }
  return shapes;
}

test('lists exactly the files of model/', () => {
  expect([...phiNano.files].sort()).toEqual(readdirSync(phiNano.folder).sort());
});

test('the index maps each tensor to the shard that holds it, and misses none', () => {
  const held = [...shards].flatMap(([file, { entries }]) =>
    Object.keys(entries).map((tensor) => [tensor, file]),
  );
  expect(held.length).toBe(Object.keys(index.weight_map).length);
  expect(Object.fromEntries(held)).toEqual(index.weight_map);
});

test('the tensors and shapes are those of PhiForCausalLM at this config', () => {
  const stored = [...shards.values()].flatMap(({ entries }) =>
    Object.entries(entries).map(([name, { shape }]) => [name, shape] as const),
  );
  expect(new Map([...stored].sort())).toEqual(new Map([...phiShapes()].sort()));
});

test('the byte sizes add up: in each entry, in each shard, and over the model', () => {
  let total = 0;
  for (const { entries, dataLength } of shards.values()) {
    let end = 0;
    for (const { dtype, shape, data_offsets } of Object.values(entries)) {
      expect(dtype).toBe('F16');
      expect(data_offsets[0]).toBe(end);
      end = data_offsets[1];
      expect(end - data_offsets[0]).toBe(2 * shape.reduce((product, size) => product * size, 1));
    }
    expect(end).toBe(dataLength);
    total += dataLength;
  }
  expect(total).toBe(index.metadata.total_size);
  expect(total).toBe(2 * index.metadata.total_parameters!);
  expect(index.metadata.total_parameters).toBe(15_151_296);
});

test('the weights are finite: no infinity or NaN in any float16', () => {
  for (const name of shards.keys()) {
    const bytes = read(name);
    const start = 8 + Number(bytes.readBigUInt64LE(0));
    let bad = 0;
    for (let at = start; at < bytes.length; at += 2) {
      if ((bytes[at + 1]! & 0x7c) === 0x7c) bad += 1;
    }
    expect(bad).toBe(0);
  }
});

test('the tokenizer ends at the end-of-text token and leaves 64 rows to spare', () => {
  const { model, added_tokens: added } = json('tokenizer.json');
  const ids = new Set<number>([
    ...Object.values<number>(model.vocab),
    ...added.map((token: { id: number }) => token.id),
  ]);
  expect(ids.size).toBe(8192);
  expect(Math.max(...ids)).toBe(config.eos_token_id);
  expect(added).toMatchObject([{ id: 8191, content: '<|endoftext|>', special: true }]);
  expect(config.vocab_size - ids.size).toBe(64);
});

test('the files are those whose outputs fixtures/expected.json records', () => {
  const provenance = readFileSync(new URL('../fixtures/PROVENANCE.md', import.meta.url), 'utf8');
  for (const name of phiNano.files) {
    const sha256 = createHash('sha256').update(read(name)).digest('hex');
    expect(provenance).toContain(`${sha256}  ${name}`);
  }
});
