import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { failure, phi2Tensors } from '../test/support.js';
import { planShards } from './index.js';

const bytes = (...sizes: number[]) =>
  sizes.map((size, i) => ({ name: `t${i}`, dtype: 'U8', shape: [size] }) as const);
const names = (plan: ReturnType<typeof planShards>) =>
  plan.shards.map(({ tensors }) => tensors.map(({ shape }) => shape[0]));

test("splits Phi-2 as the Hub's files are split", () => {
  const plan = planShards(phi2Tensors());
  expect(plan.shards.map(({ file, tensors }) => [file, tensors.length])).toEqual([
    ['model-00001-of-00002.safetensors', 423],
    ['model-00002-of-00002.safetensors', 30],
  ]);
  expect(plan.shards[0]!.tensors.at(-1)!.name).toBe('model.layers.30.self_attn.q_proj.bias');
  expect(plan.totalSize).toBe(5_559_367_680);
  expect(plan.index?.file).toBe('model.safetensors.index.json');
  // Of the index computed from the Hub's facts with Python's json: see fixtures/PROVENANCE.md.
  expect(createHash('sha256').update(plan.index!.text).digest('hex')).toBe(
    '0c77ac4c30d55a7ef763fd224cbc0073c0d808562fa682ba439265c2f3fea730',
  );
});

test('fills greedily in the order given, as huggingface_hub documents it', () => {
  expect(names(planShards(bytes(6, 6, 2, 6, 2, 2), { maxShardSize: 10 }))).toEqual([
    [6],
    [6, 2],
    [6, 2, 2],
  ]);
});

test('a tensor above the limit gets its own file, numbered before the one being filled', () => {
  expect(names(planShards(bytes(1, 11, 2, 10, 12), { maxShardSize: 10 }))).toEqual([
    [11],
    [1, 2],
    [12],
    [10],
  ]);
});

test('one file needs no index', () => {
  expect(planShards(bytes(4, 6), { maxShardSize: 10, baseName: 'adapter_model' })).toEqual({
    shards: [{ file: 'adapter_model.safetensors', tensors: bytes(4, 6) }],
    totalSize: 10,
    index: null,
  });
  expect(planShards([])).toEqual({
    shards: [{ file: 'model.safetensors', tensors: [] }],
    totalSize: 0,
    index: null,
  });
});

test('writes the index as json.dumps(indent=2, sort_keys=True) does', () => {
  const infos = ['b', 'é', '\u{1f600}', '\uff01', 'a"\n\x7f'].map(
    (name) => ({ name, dtype: 'F16', shape: [2] }) as const,
  );
  expect(planShards(infos, { maxShardSize: 12 }).index?.text).toBe(
    String.raw`{
  "metadata": {
    "total_size": 20
  },
  "weight_map": {
    "a\"\n${'\x7f'}": "model-00002-of-00002.safetensors",
    "b": "model-00001-of-00002.safetensors",
    "\u00e9": "model-00001-of-00002.safetensors",
    "\uff01": "model-00002-of-00002.safetensors",
    "\ud83d\ude00": "model-00001-of-00002.safetensors"
  }
}
`,
  );
});

test('puts every tensor in one file, none above the limit unless alone', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(30), { maxLength: 40 }),
      fc.integer({ min: 1, max: 40 }),
      (sizes, limit) => {
        const plan = planShards(bytes(...sizes), { maxShardSize: limit });
        const groups = names(plan) as number[][];
        expect(
          plan.shards.flatMap(({ tensors }) => tensors.map(({ name }) => name)).sort(),
        ).toEqual(sizes.map((_, i) => `t${i}`).sort());
        for (const group of groups) {
          const total = group.reduce((sum, size) => sum + size, 0);
          expect(total <= limit || group.length === 1).toBe(true);
        }
      },
    ),
  );
});

test('refuses a limit of nothing and names given twice', async () => {
  for (const maxShardSize of [0, -1, Number.NaN]) {
    const error = await failure(() => planShards(bytes(1), { maxShardSize }));
    expect(error.code).toBe('SAFETENSORS_SHARD_SIZE');
  }
  const error = await failure(() => planShards([...bytes(1), ...bytes(2)]));
  expect(error).toMatchObject({ code: 'SAFETENSORS_NAME', details: { tensor: 't0' } });
});
