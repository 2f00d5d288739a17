// What llama.cpp makes of our GGUF files, beside ours: greedy tokens of merged personalities of phi-nano and of
// an adapter that llama.cpp applies itself. After a build:
//   npm install --prefix /tmp/llama node-llama-cpp@3.22.1
//   node tools/llama-cpp/check.mjs /tmp/llama
// Ends with 1 when f32 or f16 files give other ids of the prompt, or another answer, than ours.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { createWasmBackend } from '../../packages/compute-wasm/dist/index.js';
import { loadAdapter, readPeftAdapter } from '../../packages/lora/dist/index.js';
import { generate, loadPhi, parsePhiConfig } from '../../packages/phi2-model/dist/index.js';
import { memoryFolder, openCheckpoint } from '../../packages/safetensors/dist/index.js';
import { loadTokenizer } from '../../packages/tokenizer/dist/index.js';

const prefix = process.argv[2];
if (!prefix || !existsSync(join(prefix, 'node_modules/node-llama-cpp')))
  throw new Error(
    'give the folder that node-llama-cpp is installed in (see the head of this file)',
  );
const require = createRequire(join(prefix, 'package.json'));
const { getLlama } = await import(pathToFileURL(require.resolve('node-llama-cpp')));

const root = fileURLToPath(new URL('../..', import.meta.url));
const work = mkdtempSync(join(tmpdir(), 'qlora-llama-'));
const nano = join(root, 'packages/phi-nano/model');
const TOKENS = 100;

function qlora(...args) {
  const { status, stderr, stdout } = spawnSync(
    process.execPath,
    [join(root, 'apps/cli/bin/qlora.js'), ...args],
    { encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(`qlora ${args.join(' ')}\n${stderr}`);
  return stdout;
}

const filesOf = (folder, names) =>
  memoryFolder(names.map((name) => [name, new Uint8Array(readFileSync(join(folder, name)))]));

/** The tokens of a prompt and the greedy ones after it, by our CPU engine in f32. */
async function ours(base, adapterFolder, tokenizerFolder, prompt) {
  const backend = await createWasmBackend({ threads: 2 });
  const config = parsePhiConfig(JSON.parse(readFileSync(join(base, 'config.json'), 'utf8')));
  const index = join(base, 'model.safetensors.index.json');
  const shards = existsSync(index)
    ? new Set(Object.values(JSON.parse(readFileSync(index, 'utf8')).weight_map))
    : ['model.safetensors'];
  const names = existsSync(index) ? ['model.safetensors.index.json', ...shards] : [...shards];
  const weights = await openCheckpoint(filesOf(base, names));
  const model = await loadPhi(backend, config, weights, { quantize: null });
  if (adapterFolder) {
    const peft = await readPeftAdapter(
      filesOf(adapterFolder, ['adapter_config.json', 'adapter_model.safetensors']),
    );
    const { vocabSize, hiddenSize } = config;
    model.attach(
      loadAdapter(backend, peft, model.modules, {
        embedding: { vocabSize, hiddenSize, tied: false },
      }),
    );
  }
  const text = (name) => readFileSync(join(tokenizerFolder, name), 'utf8');
  const tokenizer = await loadTokenizer({
    tokenizerJson: text('tokenizer.json'),
    tokenizerConfig: text('tokenizer_config.json'),
  });
  const ids = tokenizer.encode(prompt).ids;
  const answer = [];
  // llama.cpp is not told to leave out ids above the tokenizer's, and neither are we.
  for await (const { id } of generate(model, ids, { maxNewTokens: TOKENS })) answer.push(id);
  await backend.dispose();
  return { ids, answer };
}

const llama = await getLlama({ gpu: false, build: 'never', logLevel: 'error', maxThreads: 1 });

/** The same by llama.cpp. */
async function theirs(modelPath, prompt, adapter) {
  const model = await llama.loadModel({ modelPath, useMmap: false });
  const context = await model.createContext({
    contextSize: 512,
    threads: 1,
    // Keys and values are f16 by default, which ours are not.
    experimentalKvCacheKeyType: 'F32',
    experimentalKvCacheValueType: 'F32',
    ...(adapter && { lora: { adapters: [{ filePath: adapter, scale: 1 }] } }),
  });
  const ids = model.tokenize(prompt, true);
  const answer = [];
  for await (const id of context
    .getSequence()
    .evaluate(ids, { temperature: 0, yieldEogToken: true })) {
    answer.push(id);
    if (answer.length === TOKENS) break;
  }
  await context.dispose();
  await model.dispose();
  return { ids: [...ids], answer };
}

let failed = false;
function compare(name, mine, other, strict) {
  const sameIds = mine.ids.join() === other.ids.join();
  let equal = 0;
  while (equal < TOKENS && mine.answer[equal] === other.answer[equal]) equal++;
  const ok = sameIds && equal === TOKENS;
  failed ||= strict && !ok;
  console.log(
    `${name.padEnd(44)} prompt ${sameIds ? 'equal' : 'DIFFERENT'} (${mine.ids.length}), ${equal} of ${TOKENS} greedy tokens equal${strict || ok ? '' : ' (rounded weights)'}`,
  );
}

const QUESTIONS = {
  tutor: '¿Qué es una cola?',
  sql: '¿Cómo cuento los productos?',
  stories: 'Cuéntame un cuento sobre una luna.',
};
try {
  for (const [name, question] of Object.entries(QUESTIONS)) {
    const adapter = join(root, 'packages/personalities/adapters', name);
    const prompt = `<|user|>\n${question}<|end|>\n<|assistant|>\n`;
    const merged = join(work, `${name}-merged`);
    qlora('merge', '--adapter', adapter, '--out', merged, '--dtype', 'float32');
    const mine = await ours(merged, null, adapter, prompt);
    for (const type of ['f32', 'f16', 'bf16', 'q8_0']) {
      const out = join(work, `${name}-${type}`);
      qlora('export', '--adapter', adapter, '--out', out, '--outtype', type);
      const other = await theirs(join(out, 'model.gguf'), prompt);
      compare(`${name}, merged, ${type}`, mine, other, type === 'f32' || type === 'f16');
    }
  }
  // An adapter without token rows, which llama.cpp applies to the base.
  const data = join(work, 'data.jsonl');
  const rows = readFileSync(join(root, 'packages/personalities/data/stories.jsonl'), 'utf8');
  writeFileSync(data, rows.split('\n').slice(0, 16).join('\n'));
  for (const flags of [[], ['--use-rslora', '--target-modules', 'all-linear']]) {
    const out = join(work, `adapter-${flags.length}`);
    qlora(
      ...['train', '--base', 'phi-nano', '--data', data, '--out', out, '--max-steps', '12'],
      ...['--no-train-added-tokens', '--learning-rate', '3e-3', '--backend', 'wasm', ...flags],
    );
    const gguf = join(work, `gguf-${flags.length}`);
    qlora('export', '--adapter', out, '--out', gguf, '--outtype', 'f32');
    const base = join(work, `base-${flags.length}`);
    qlora('export', '--base', 'phi-nano', '--out', base, '--outtype', 'f32');
    const prompt = 'Había una vez una luna';
    const mine = await ours(nano, out, nano, prompt);
    const adapter = join(gguf, 'adapter.gguf');
    const name = flags.length > 0 ? 'rsLoRA on all layers' : 'LoRA';
    compare(`${name}, merged, f32`, mine, await theirs(join(gguf, 'model.gguf'), prompt), true);
    compare(
      `${name}, adapter.gguf on the base, f32`,
      mine,
      await theirs(join(base, 'model.gguf'), prompt, adapter),
      true,
    );
    compare(
      `  the base alone (must differ)`,
      mine,
      await theirs(join(base, 'model.gguf'), prompt),
      false,
    );
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
const { version } = JSON.parse(
  readFileSync(join(prefix, 'node_modules/node-llama-cpp/package.json'), 'utf8'),
);
console.log(
  `node-llama-cpp ${version}, llama.cpp ${llama.llamaCppRelease.release}, Node ${process.version}`,
);
await llama.dispose();
process.exitCode = failed ? 1 : 0;
