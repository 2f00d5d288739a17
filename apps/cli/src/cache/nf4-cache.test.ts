import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { type Backend, createReferenceBackend } from '@qlorajs/compute';
import { loadPhi, type PhiModel } from '@qlorajs/phi2-model';
import { openCheckpoint, openSafetensors, type TensorSource } from '@qlorajs/safetensors';
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';
import { copyBase } from '../../test/support/bases.js';
import { type BaseFolder, openBase } from '../io/base-folder.js';
import { fileSource } from '../io/file-source.js';
import { cachedFiles, cacheFolder } from './cache-folder.js';
import { type CacheSlot, cacheSlot, loadAndKeep, loadCached } from './nf4-cache.js';

const home = mkdtempSync(join(tmpdir(), 'qlora-cache-'));
const before = process.env.XDG_CACHE_HOME;
process.env.XDG_CACHE_HOME = join(home, 'cache');
afterAll(() => {
  if (before === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = before;
  rmSync(home, { recursive: true, force: true });
});

let base: BaseFolder;
let weights: TensorSource;
const said: string[] = [];
const ui = { info: (line: string) => said.push(line), warn: (line: string) => said.push(line) };
const batch = {
  inputIds: Int32Array.of(1, 2, 3),
  lengths: Int32Array.of(3),
  batchSize: 1,
  length: 3,
};

const slotOf = async (doubleQuant = true) =>
  (await cacheSlot(base, weights, doubleQuant, 0)) as CacheSlot;

async function logitsOf(load: (backend: Backend) => Promise<PhiModel | null>) {
  const backend = createReferenceBackend();
  const model = await load(backend);
  const logits = await model?.logits(batch);
  model?.dispose();
  expect(backend.memory().live).toBe(0);
  return logits ?? null;
}

const quantize = { doubleQuant: true };
const keep = (slot: CacheSlot) =>
  logitsOf((backend) =>
    loadAndKeep(slot, base, ui, (onQuantized) =>
      loadPhi(backend, base.config, weights, { quantize, onQuantized }),
    ),
  );
const reuse = (slot: CacheSlot) =>
  logitsOf((backend) =>
    loadCached(slot, weights, ui, (source) => loadPhi(backend, base.config, source, { quantize })),
  );

beforeEach(async () => {
  rmSync(cacheFolder(), { recursive: true, force: true });
  rmSync(join(home, 'base'), { recursive: true, force: true });
  base = await openBase(copyBase(join(home, 'base')));
  weights = await openCheckpoint(base.source);
  said.length = 0;
});

afterEach(() => weights.close());

test('an empty slot gives nothing; a kept base gives the same logits', async () => {
  const slot = await slotOf();
  expect(await reuse(slot)).toBeNull();
  const first = await keep(slot);
  expect(said.join()).toContain(`are kept in ${slot.path}`);
  expect(await reuse(slot)).toEqual(first);
  expect(said.join()).toContain(`came from ${slot.path}`);
  const [file] = await cachedFiles();
  expect(file).toMatchObject({ file: slot.path });
  expect(file.bytes).toBeGreaterThan(slot.bytes);
});

test("the file is a safetensors file in bitsandbytes' layout", async () => {
  const slot = await slotOf();
  await keep(slot);
  const file = await openSafetensors(await fileSource(slot.path));
  const name = 'model.layers.1.mlp.fc2.weight';
  const parts = [...file.tensors.keys()].filter((key) => key.startsWith(name));
  expect(parts.map((key) => key.slice(name.length))).toEqual([
    '',
    '.absmax',
    '.quant_map',
    '.nested_absmax',
    '.nested_quant_map',
    '.quant_state.bitsandbytes__nf4',
  ]);
  expect(file.metadata).toMatchObject({ format: 'pt', base: base.path });
  await file.close();
});

test.each([
  [
    'a changed byte',
    (bytes: Buffer) => bytes.writeUInt8(bytes[bytes.length - 700] ^ 1, bytes.length - 700),
  ],
  [
    'a changed code',
    (bytes: Buffer) => bytes.writeUInt8(bytes[bytes.length - 9000] ^ 16, bytes.length - 9000),
  ],
  ['a lost end', (bytes: Buffer) => bytes.subarray(0, bytes.length - 1)],
  ['no header', (bytes: Buffer) => bytes.fill(0, 0, 8)],
  ['nothing', () => Buffer.alloc(0)],
])('a damaged file (%s) is told, removed and made again', async (_, damage) => {
  const slot = await slotOf();
  const first = await keep(slot);
  const bytes = readFileSync(slot.path);
  const result = damage(bytes);
  writeFileSync(slot.path, result instanceof Buffer ? result : bytes);
  said.length = 0;
  expect(await reuse(slot)).toBeNull();
  expect(said.join()).toMatch(/the cached file is removed and made again/);
  expect(await cachedFiles()).toEqual([]);
  expect(await keep(slot)).toEqual(first);
  expect(await reuse(slot)).toEqual(first);
});

test('another quantization and changed weights have slots of their own; old states go', async () => {
  const slot = await slotOf();
  await keep(slot);
  expect((await slotOf(false)).path).not.toBe(slot.path);
  utimesSync(join(base.path, 'model.safetensors'), 1, 1);
  const later = await slotOf();
  expect(later.path).not.toBe(slot.path);
  await keep(later);
  expect(readdirSync(cacheFolder())).toEqual([basename(later.path)]);
});

test('a base that fails to load leaves no file', async () => {
  const slot = await slotOf();
  const failing = loadAndKeep(slot, base, ui, () => Promise.reject(new Error('no device')));
  await expect(failing).rejects.toThrow('no device');
  expect(readdirSync(cacheFolder())).toEqual([]);
});

test('a cache that cannot be written is told, and the base loads', async () => {
  rmSync(join(home, 'cache'), { recursive: true, force: true });
  writeFileSync(join(home, 'cache'), 'a file in the way');
  const slot = await slotOf();
  expect(await keep(slot)).not.toBeNull();
  expect(said.join()).toMatch(/the quantized base is not kept: /);
  rmSync(join(home, 'cache'));
});

test('small bases and quantized ones have no slot', async () => {
  expect(await cacheSlot(base, weights, true)).toBeNull();
  expect(await cacheSlot({ ...base, quantized: true }, weights, true, 0)).toBeNull();
});
