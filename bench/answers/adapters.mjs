// What loading an adapter onto a resident base and changing to another cost.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createWasmBackend } from '../../packages/compute-wasm/dist/index.js';
import { loadAdapter, readPeftAdapter } from '../../packages/lora/dist/index.js';
import { phiNano } from '../../packages/phi-nano/dist/index.js';
import { loadPhi, parsePhiConfig } from '../../packages/phi2-model/dist/index.js';
import { memoryFolder, openCheckpoint } from '../../packages/safetensors/dist/index.js';

const folderOf = async (names, read) =>
  memoryFolder(
    await Promise.all(names.map(async (name) => [name, new Uint8Array(await read(name))])),
  );
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/** Milliseconds: medians of ten. */
export async function adapterTimes(folders) {
  const base = await folderOf(phiNano.files, (name) => readFile(new URL(name, phiNano.folder)));
  const config = parsePhiConfig(
    JSON.parse(await readFile(new URL('config.json', phiNano.folder), 'utf8')),
  );
  const backend = await createWasmBackend({ threads: 2 });
  const model = await loadPhi(backend, config, await openCheckpoint(base), {
    quantize: { doubleQuant: true },
  });
  const { vocabSize, hiddenSize } = config;
  const load = async (folder) => {
    const files = await folderOf(['adapter_config.json', 'adapter_model.safetensors'], (name) =>
      readFile(join(folder, name)),
    );
    return loadAdapter(backend, await readPeftAdapter(files), model.modules, {
      embedding: { vocabSize, hiddenSize, tied: false },
    });
  };
  const [loads, switches] = [[], []];
  for (let i = 0; i < 10; i++) {
    const started = performance.now();
    const adapter = await load(folders[i % folders.length]);
    model.attach(adapter);
    await backend.sync();
    loads.push(performance.now() - started);
    model.attach(null);
    adapter.dispose();
  }
  const adapters = await Promise.all(folders.map(load));
  for (let i = 0; i < 30; i++) {
    const started = performance.now();
    model.attach(adapters[i % adapters.length]);
    await backend.sync();
    switches.push(performance.now() - started);
  }
  await backend.dispose();
  return { load_ms: median(loads), load_worst_ms: Math.max(...loads), switch_ms: median(switches) };
}
