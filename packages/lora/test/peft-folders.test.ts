import { createReferenceBackend } from '@qlorajs/compute';
import { bytesSource, openSafetensors } from '@qlorajs/safetensors';
import { describe, expect, test } from 'vitest';
import { exportPeftAdapter, loadAdapter, readPeftAdapter } from '../src/index.js';
import { fixtureBytes, fixtureFolder, fixtureText } from './fixture-folder.js';
import { FIXTURE_MODULES, phiModules } from './phi-modules.js';

const DEV_A = phiModules({ layers: 2, hidden: 64, intermediate: 256, vocabulary: 211 });
const DEV_B = phiModules({ layers: 3, hidden: 80, intermediate: 192, vocabulary: 211 });

const FOLDERS = [
  ['dev-a', DEV_A, false, 16],
  ['dev-b', DEV_B, false, 36],
  ['plain', FIXTURE_MODULES, false, 4],
  ['patterns', FIXTURE_MODULES, false, 4],
  ['tokens-untied', FIXTURE_MODULES, false, 6],
  ['tokens-apart', FIXTURE_MODULES, true, 6],
  ['tokens-tied', FIXTURE_MODULES, true, 5],
  ['tokens-list', FIXTURE_MODULES, true, 5],
] as const;

describe.each(FOLDERS)('%s, saved by PEFT', (name, modules, tied, count) => {
  test('is loaded and saved again as the same bytes', async () => {
    const files = await readPeftAdapter(fixtureFolder(name));
    expect(files.warnings).toEqual([]);
    const embedding = { vocabSize: 24, hiddenSize: 16, tied };
    const adapter = loadAdapter(createReferenceBackend(), files, modules, { embedding });
    expect(adapter.parameters()).toHaveLength(count);
    const saved = await exportPeftAdapter(adapter);
    expect(saved['adapter_config.json']).toBe(fixtureText(`${name}/adapter_config.json`));
    expect(saved['adapter_model.safetensors']).toEqual(
      fixtureBytes(`${name}/adapter_model.safetensors`),
    );
  });
});

test('an older configuration is read, completed and keeps its values', async () => {
  const files = await readPeftAdapter(fixtureFolder('tiny-phi'));
  const modules = phiModules({ layers: 2, hidden: 80, intermediate: 320, vocabulary: 160 });
  const adapter = loadAdapter(createReferenceBackend(), files, modules);
  const saved = await exportPeftAdapter(adapter);
  expect(saved['adapter_model.safetensors']).toEqual(
    fixtureBytes('tiny-phi/adapter_model.safetensors'),
  );
  const before = JSON.parse(fixtureText('tiny-phi/adapter_config.json'));
  expect(JSON.parse(saved['adapter_config.json'])).toMatchObject(before);
  expect(JSON.parse(saved['adapter_config.json'])).toHaveProperty('kasa_config', null);
});

test('F16 tensors are widened to f32 and saved as F32, as PEFT does', async () => {
  const files = await readPeftAdapter(fixtureFolder('half'));
  const adapter = loadAdapter(createReferenceBackend(), files, FIXTURE_MODULES);
  const saved = await exportPeftAdapter(adapter);
  const source = await openSafetensors(bytesSource(fixtureBytes('half/adapter_model.safetensors')));
  const written = await openSafetensors(bytesSource(saved['adapter_model.safetensors']));
  for (const [key, { dtype, shape }] of source.tensors) {
    expect(dtype).toBe('F16');
    expect(written.tensors.get(key)).toMatchObject({ dtype: 'F32', shape });
    expect(await written.readFloat32(key)).toEqual(await source.readFloat32(key));
  }
});

test('rows of tied and untied token tables', async () => {
  const load = async (name: string, tied: boolean) =>
    loadAdapter(
      createReferenceBackend(),
      await readPeftAdapter(fixtureFolder(name)),
      FIXTURE_MODULES,
      { embedding: { vocabSize: 24, hiddenSize: 16, tied } },
    ).tokens;
  const untied = await load('tokens-untied', false);
  expect(untied.get('embed_tokens')?.ids).toEqual([20, 3, 21]);
  expect(untied.get('lm_head')?.ids).toEqual([20, 3, 21]);
  expect(untied.get('lm_head')?.rows).not.toBe(untied.get('embed_tokens')?.rows);
  const tied = await load('tokens-tied', true);
  expect(tied.get('lm_head')).toBe(tied.get('embed_tokens'));
  const list = await load('tokens-list', true);
  expect(list.get('lm_head')?.ids).toEqual([9, 4, 1]);
  const apart = await load('tokens-apart', true);
  expect(apart.get('embed_tokens')?.ids).toEqual([5, 6]);
  expect(apart.get('lm_head')?.ids).toEqual([7]);
});
