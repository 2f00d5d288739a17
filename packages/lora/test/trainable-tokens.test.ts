import { createReferenceBackend } from '@qlorajs/compute';
import { describe, expect, test } from 'vitest';
import { createAdapter, defaultLoraConfig, type TrainableTokenIndices } from '../src/index.js';
import { FIXTURE_MODULES } from './phi-modules.js';

function create(
  trainableTokenIndices: TrainableTokenIndices,
  tied = false,
  ensureWeightTying = false,
) {
  const config = defaultLoraConfig({
    targetModules: ['q_proj'],
    trainableTokenIndices,
    ensureWeightTying,
  });
  return createAdapter(createReferenceBackend(), config, FIXTURE_MODULES, {
    seed: 1,
    embedding: { vocabSize: 24, hiddenSize: 16, tied },
    tokenRows: (module, ids) =>
      Float32Array.from(
        ids.flatMap((id) => Array.from({ length: 16 }, () => (module === 'lm_head' ? -id : id))),
      ),
  });
}

test('untied: each module starts from its own rows of the base', async () => {
  const adapter = create({ embed_tokens: [5, 2], lm_head: [7] });
  const first = async (module: 'embed_tokens' | 'lm_head', i: number) =>
    (await adapter.backend.read(adapter.tokens.get(module)!.rows.value))[i * 16];
  expect(await first('embed_tokens', 0)).toBe(5);
  expect(await first('embed_tokens', 1)).toBe(2);
  expect(await first('lm_head', 0)).toBe(-7);
  expect(
    adapter
      .parameters()
      .slice(-2)
      .map(({ name }) => name),
  ).toEqual([
    'base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta',
    'base_model.model.lm_head.token_adapter.trainable_tokens_delta',
  ]);
});

test('tied: one parameter serves both modules', () => {
  const same: TrainableTokenIndices[] = [
    [5, 2],
    { embed_tokens: [5, 2] },
    { embed_tokens: [5, 2], lm_head: [5, 2] },
  ];
  for (const indices of same) {
    const adapter = create(indices, true);
    expect(adapter.tokens.get('lm_head')).toBe(adapter.tokens.get('embed_tokens'));
    expect(adapter.parameters()).toHaveLength(3);
  }
  expect(create([5], false).tokens.has('lm_head')).toBe(false);
  expect(create({ lm_head: [5] }, true).tokens.has('embed_tokens')).toBe(false);
  expect(create({ embed_tokens: [5], lm_head: [6] }, true).parameters()).toHaveLength(4);
});

describe('refused', () => {
  test('ids that the base does not have', () => {
    expect(() => create([23, 24, 99])).toThrowError(/24 token rows, so 24, 99 do not exist/);
  });

  test('another module', () => {
    expect(() => create({ fc1: [1] })).toThrowError(/embed_tokens and lm_head/);
  });

  test('tied weights that must stay tied, with different ids', () => {
    expect(() => create({ embed_tokens: [5], lm_head: [6] }, true, true)).toThrowError(/same/);
  });

  test('no token table, or rows of another size', () => {
    const config = defaultLoraConfig({ targetModules: ['q_proj'], trainableTokenIndices: [1] });
    const embedding = { vocabSize: 24, hiddenSize: 16, tied: false };
    const attempt =
      (options: { embedding?: typeof embedding; tokenRows?: () => Float32Array }) => () =>
        createAdapter(createReferenceBackend(), config, FIXTURE_MODULES, { seed: 1, ...options });
    expect(attempt({})).toThrowError(/pass `embedding`/);
    expect(attempt({ embedding })).toThrowError(/16 values, got none/);
    expect(attempt({ embedding, tokenRows: () => new Float32Array(8) })).toThrowError(/got 8/);
  });
});
