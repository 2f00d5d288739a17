import { createWasmBackend } from '@qlorajs/compute-wasm';
import { Decoder, loadPhi, type PhiConfig, parsePhiConfig, phiTensors } from '@qlorajs/phi2-model';
import { memoryFolder, openCheckpoint, writeSafetensors } from '@qlorajs/safetensors';
import { expect, test } from 'vitest';
import { expectRoom, planLoading } from './plan-loading.js';

const configOf = (hidden: number, layers: number, vocab: number): PhiConfig =>
  parsePhiConfig(
    {
      ...{ model_type: 'phi', vocab_size: vocab, hidden_size: hidden, num_hidden_layers: layers },
      ...{ intermediate_size: 4 * hidden, num_attention_heads: hidden / 32 },
      ...{ partial_rotary_factor: 0.5, max_position_embeddings: 256, hidden_act: 'gelu_new' },
    },
    'config.json',
  );

const wasm = (memoryLimit: number) => ({ name: 'wasm', info: { memoryLimit } });

test('is the memory that loading and answering then take, to the byte', async () => {
  const config = configOf(64, 2, 128);
  const backend = await createWasmBackend({ threads: 1 });
  const plan = await planLoading({ config, backend, halfTables: false });
  const tensors = [...phiTensors(config)].map(([name, shape]) => {
    const size = shape.reduce((a, b) => a * b, 1);
    return [name, { dtype: 'F32', shape, data: new Float32Array(size).fill(0.01) }] as const;
  });
  const file = writeSafetensors(Object.fromEntries(tensors) as never);
  const source = await openCheckpoint(memoryFolder([['model.safetensors', file]]));
  const model = await loadPhi(backend, config, source, { quantize: { doubleQuant: true } });
  expect(backend.memory().live).toBe(plan.weightBytes);
  backend.resetPeak();
  const decoder = new Decoder(model);
  expect(decoder.bytes).toBe(plan.contextBytes);
  await decoder.read(new Array(256).fill(1));
  expect(backend.memory().peak).toBe(plan.peakBytes);
  await backend.dispose();
});

test("Phi-2 fits wasm's 4 GiB with a full conversation, and is kept in 1.9 GB", async () => {
  const config = parsePhiConfig(
    {
      ...{ model_type: 'phi', vocab_size: 51200, hidden_size: 2560, num_hidden_layers: 32 },
      ...{ intermediate_size: 10240, num_attention_heads: 32, partial_rotary_factor: 0.4 },
      ...{ max_position_embeddings: 2048, hidden_act: 'gelu_new' },
    },
    'config.json',
  );
  const plan = await planLoading({ config, backend: wasm(65535 * 65536), halfTables: false });
  expect(plan.weightBytes / 1e9).toBeCloseTo(2.35, 2);
  expect(plan.contextBytes).toBe(32 * 2 * 2048 * 2560 * 4);
  expect(plan.keptBytes / 1e9).toBeCloseTo(1.82, 2);
  expect(() => expectRoom('phi-2', plan)).not.toThrow();
  const small = await planLoading({ config, backend: wasm(2 ** 31), halfTables: false });
  expect(() => expectRoom('phi-2', small)).toThrowError(/phi-2 takes 3\.7\d GB .* has 2\.15 GB/);
});
