import { createReferenceBackend } from '@qlorajs/compute';
import { fromFloat32, writeSafetensors } from '@qlorajs/safetensors';
import { expect, test } from 'vitest';
import { loadAdapter, readPeftAdapter } from '../src/index.js';
import { fixtureBytes, fixtureFolder, fixtureText, folderOf } from './fixture-folder.js';
import { FIXTURE_MODULES, phiModules } from './phi-modules.js';

const config = fixtureText('plain/adapter_config.json');
const model = fixtureBytes('plain/adapter_model.safetensors');
const load = async (files: Record<string, string | Uint8Array>, modules = FIXTURE_MODULES) =>
  loadAdapter(createReferenceBackend(), await readPeftAdapter(folderOf(files)), modules);

test('a folder without its files', async () => {
  await expect(load({})).rejects.toMatchObject({
    code: 'LORA_FILE_MISSING',
    message: expect.stringContaining('folder has no adapter_config.json'),
  });
  await expect(load({ 'adapter_config.json': config })).rejects.toThrowError(
    /no adapter_model.safetensors/,
  );
});

test('a pickle, with the remedy', async () => {
  const files = { 'adapter_config.json': config, 'adapter_model.bin': new Uint8Array(4) };
  await expect(load(files)).rejects.toThrowError(/adapter_model.bin.*convert it with PEFT/);
});

test('a base of another hidden size or depth', async () => {
  const files = { 'adapter_config.json': config, 'adapter_model.safetensors': model };
  const wider = phiModules({ layers: 1, hidden: 32, intermediate: 32, vocabulary: 24 });
  await expect(load(files, wider)).rejects.toMatchObject({
    code: 'LORA_ADAPTER_MISMATCH',
    details: {
      missing: [],
      unexpected: [],
      shapes: [
        'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight is [2,16] instead of [2,32]',
        'base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight is [16,2] instead of [32,2]',
        'base_model.model.model.layers.0.mlp.fc1.lora_A.weight is [2,16] instead of [2,32]',
      ],
    },
  });
  const deeper = phiModules({ layers: 2, hidden: 16, intermediate: 32, vocabulary: 24 });
  await expect(load(files, deeper)).rejects.toMatchObject({
    details: { missing: { length: 4 }, unexpected: [] },
  });
});

test('another rank in the configuration than in the file', async () => {
  const files = {
    'adapter_config.json': config.replace('"r": 2', '"r": 4'),
    'adapter_model.safetensors': model,
  };
  await expect(load(files)).rejects.toThrowError(/is \[2,16\] instead of \[4,16\]/);
});

test('keys that are missing or too many', async () => {
  const key = 'base_model.model.model.layers.0.mlp.fc1.lora_A.weight';
  const data = {
    dtype: 'BF16',
    shape: [2, 16],
    data: fromFloat32(new Float32Array(32), 'BF16'),
  } as const;
  const files = {
    'adapter_config.json': config,
    'adapter_model.safetensors': writeSafetensors({ [key]: data, extra: data }),
  };
  await expect(load(files)).rejects.toMatchObject({
    message: expect.stringMatching(/missing: .*fc1.lora_B.weight.*not expected: extra/),
    details: { missing: { length: 3 }, unexpected: ['extra'], shapes: [] },
  });
});

test('token rows without, or of another, token table', async () => {
  const files = await readPeftAdapter(fixtureFolder('tokens-untied'));
  const attempt = (hiddenSize: number | null) => () =>
    loadAdapter(createReferenceBackend(), files, FIXTURE_MODULES, {
      embedding: hiddenSize === null ? undefined : { vocabSize: 24, hiddenSize, tied: false },
    });
  expect(attempt(null)).toThrowError(/token table/);
  expect(attempt(17)).toThrowError(/is \[3,16\] instead of \[3,17\]/);
});
