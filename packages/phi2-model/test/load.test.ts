import { readFileSync } from 'node:fs';
import { createReferenceBackend } from '@qlorajs/compute';
import {
  memoryFolder,
  type NamedTensor,
  openCheckpoint,
  writeSafetensors,
} from '@qlorajs/safetensors';
import { expect, test } from 'vitest';
import { checkTensors, loadPhi, parsePhiConfig, phiTensors } from '../src/index.js';
import { readJson } from './fixtures.js';

const config = parsePhiConfig(readJson('tiny-phi', 'config.json'), 'config.json');
const fixture = (name: string) =>
  readFileSync(new URL(`../fixtures/tiny-phi/${name}`, import.meta.url));

/** Loads a copy of a file in which one text is another of the same length. */
async function loadChanged(name: string, from: string, to: string) {
  const text = fixture(name).toString('latin1');
  expect(text).toContain(from);
  expect(to).toHaveLength(from.length);
  const bytes = Buffer.from(text.replace(from, to), 'latin1');
  const source = await openCheckpoint(memoryFolder([['model.safetensors', bytes]]));
  return loadPhi(createReferenceBackend(), config, source, { quantize: null });
}

test.each(['F64', 'I32', 'F8_E4M3', 'BOOL'])('weights in %s are refused by name', (dtype) => {
  const entries = new Map(
    [...phiTensors(config)].map(([name, shape]) => [name, { dtype: 'BF16', shape }]),
  );
  checkTensors(config, entries, 'base');
  entries.set('lm_head.bias', { dtype, shape: [160] });
  expect(() => checkTensors(config, entries, 'base')).toThrow(
    `lm_head.bias is ${dtype}; F32, F16 or BF16 is needed`,
  );
});

test('a 4-bit weight whose quant_state has another shape than the config is refused', async () => {
  await expect(
    loadChanged('model.nf4-dq.safetensors', '"shape": [320, 80]', '"shape": [80, 320]'),
  ).rejects.toMatchObject({
    code: 'PHI_TENSORS',
    message: expect.stringMatching(/mlp\.fc1\.weight: its quant_state says \[80,320\].*\[320,80\]/),
  });
});

test.each([Number.NaN, Number.NEGATIVE_INFINITY])(
  '%s names its tensor and place',
  async (value) => {
    const bytes = fixture('model.safetensors');
    const headerEnd = 8 + Number(bytes.readBigUInt64LE(0));
    const header = JSON.parse(bytes.toString('utf8', 8, headerEnd));
    const [start] = header['lm_head.bias'].data_offsets;
    bytes.writeFloatLE(value, headerEnd + start + 4 * 5);
    const source = await openCheckpoint(memoryFolder([['model.safetensors', bytes]]));
    const loading = loadPhi(createReferenceBackend(), config, source, { quantize: null });
    await expect(loading).rejects.toMatchObject({
      code: 'PHI_NOT_FINITE',
      message: expect.stringContaining(`lm_head.bias: value 5 is ${value}`),
    });
  },
);

test.each([
  [0x7c00, 'Infinity'],
  [0xfe01, 'NaN'],
])('half-precision tables too: %i is %s', async (bits, called) => {
  const given = await openCheckpoint(
    memoryFolder([['model.safetensors', fixture('model.safetensors')]]),
  );
  const tensors: Record<string, NamedTensor> = {};
  for (const [name, { shape }] of given.tensors)
    tensors[name] = { dtype: 'F32', shape, data: await given.readFloat32(name) };
  const table = new Uint16Array(160 * 80);
  table[3] = bits;
  tensors['lm_head.weight'] = { dtype: 'F16', shape: [160, 80], data: table };
  const source = await openCheckpoint(
    memoryFolder([['model.safetensors', writeSafetensors(tensors)]]),
  );
  const options = { quantize: null, halfTables: true };
  await expect(loadPhi(createReferenceBackend(), config, source, options)).rejects.toMatchObject({
    code: 'PHI_NOT_FINITE',
    message: expect.stringContaining(`lm_head.weight: value 3 is ${called}`),
  });
});
