import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Backend } from '@qlorajs/compute';
import { createWasmBackend } from '@qlorajs/compute-wasm';
import { phiNano } from '@qlorajs/phi-nano';
import { openCheckpoint } from '@qlorajs/safetensors';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { generate, loadPhi, type PhiModel, parsePhiConfig } from '../src/index.js';
import { diskFolder } from './fixtures.js';

interface Prompt {
  readonly text: string;
  readonly ids: number[];
  readonly top10: number[];
  readonly top10_logits: number[];
  readonly greedy: number[];
}

const folder = fileURLToPath(phiNano.folder);
const { prompts } = JSON.parse(readFileSync(join(folder, '../fixtures/expected.json'), 'utf8')) as {
  prompts: Prompt[];
};

describe('phi-nano on wasm, against transformers on a GPU with TF32 products', () => {
  let backend: Backend;
  let model: PhiModel;
  let quantized: PhiModel;

  beforeAll(async () => {
    backend = await createWasmBackend({ threads: 2 });
    const config = parsePhiConfig(JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')));
    const source = await openCheckpoint(diskFolder(folder));
    model = await loadPhi(backend, config, source, { quantize: null });
    quantized = await loadPhi(backend, config, source, { quantize: { doubleQuant: true } });
  });

  afterAll(() => backend.dispose());

  test.each(prompts)('$text', async ({ ids, top10, top10_logits, greedy }) => {
    const batch = {
      inputIds: Int32Array.from(ids),
      lengths: Int32Array.of(ids.length),
      batchSize: 1,
      length: ids.length,
    };
    const logits = (await model.logits(batch)).slice(-model.config.vocabSize);
    const off = top10.map((id, i) => Math.abs(logits[id] - top10_logits[i]));
    expect(Math.max(...off)).toBeLessThan(0.05);
    const answer = [...ids];
    const maxNewTokens = greedy.length - ids.length;
    for await (const { id } of generate(model, ids, { maxNewTokens })) answer.push(id);
    const same = answer.findIndex((id, i) => id !== greedy[i]);
    // TF32 may turn a near tie: the continuations must share at least their first ten tokens.
    expect(same === -1 || same >= ids.length + 10, `first difference at ${same}`).toBe(true);
  });

  test('four bits cost little: the same first word, and 4.13 bits a weight', async () => {
    const { ids, top10 } = prompts[0];
    const batch = {
      inputIds: Int32Array.from(ids),
      lengths: Int32Array.of(ids.length),
      batchSize: 1,
      length: ids.length,
    };
    const logits = (await quantized.logits(batch)).slice(-model.config.vocabSize);
    expect(logits.indexOf(Math.max(...logits))).toBe(top10[0]);
    const weights = 8 * 12 * 320 * 320;
    // 4 + 8 / 64 + 32 / (64 * 256) bits, and a map of 256 floats for each of the 48 matrices.
    const bits = ((quantized.quantizedBytes - 48 * 1024) * 8) / weights;
    expect(bits).toBeGreaterThan(4.126);
    expect(bits).toBeLessThan(4.13);
  });
});
