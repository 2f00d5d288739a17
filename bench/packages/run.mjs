// node bench/packages/run.mjs [PACKAGE ...]: what the libraries' READMEs say of their speed, on one core, from
// the built packages and the data that the project ships. Each figure is the median of five, after a first run.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const at = (path) => new URL(`../../packages/${path}`, import.meta.url);
const library = (name) => import(at(`${name}/dist/index.js`).href);
const text = (path) => readFileSync(at(path), 'utf8');
const chats = () => readFileSync(at('tutor-dataset/data/tutor_dataset.jsonl'));

/** Median seconds of five calls. */
async function seconds(run) {
  await run();
  const times = [];
  for (let i = 0; i < 5; i++) {
    const start = performance.now();
    await run();
    times.push((performance.now() - start) / 1000);
  }
  return times.sort((a, b) => a - b)[2];
}

const print = (name, value, unit) =>
  console.log(`${name}: ${value < 10 ? value.toPrecision(2) : Math.round(value)} ${unit}`);

async function tokenizerOf() {
  const { loadTokenizer } = await library('tokenizer');
  return loadTokenizer({ tokenizerJson: text('phi-nano/model/tokenizer.json') });
}

async function tutorOptions() {
  const { compileChatTemplate, TUTOR_CHAT_TEMPLATE, TUTOR_MARKERS } =
    await library('chat-template');
  const tokenizer = (await tokenizerOf()).addTokens(TUTOR_MARKERS, { limit: 8256 });
  const template = compileChatTemplate(TUTOR_CHAT_TEMPLATE);
  const limits = { maxSeqLength: 512, truncation: 'tokens' };
  return { file: 'chats', tokenizer, template, trainOn: 'assistant', ...limits };
}

/** An adapter of Phi-2's shape: r 16 on q, k, v and dense, 10.5 M parameters. */
async function largeAdapter() {
  const { createReferenceBackend } = await library('compute');
  const { createAdapter, defaultLoraConfig } = await library('lora');
  const names = ['q_proj', 'k_proj', 'v_proj', 'dense'];
  const modules = Array.from({ length: 32 }, (_, layer) =>
    names.map((name) => ({
      name: `model.layers.${layer}.self_attn.${name}`,
      inFeatures: 2560,
      outFeatures: 2560,
    })),
  ).flat();
  const backend = createReferenceBackend();
  const config = defaultLoraConfig({ r: 16, loraAlpha: 32, targetModules: names });
  return { backend, modules, adapter: createAdapter(backend, config, modules, { seed: 42 }) };
}

const benches = {
  async 'chat-template'() {
    const { compileChatTemplate, TUTOR_CHAT_TEMPLATE } = await library('chat-template');
    const rows = chats()
      .toString()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).messages);
    print(
      'compile the tutor format',
      1e3 * (await seconds(() => compileChatTemplate(TUTOR_CHAT_TEMPLATE))),
      'ms',
    );
    const template = compileChatTemplate(TUTOR_CHAT_TEMPLATE);
    const each = (await seconds(() => rows.map((row) => template.render(row)))) / rows.length;
    print('render a chat', 1e6 * each, 'us');
  },
  async tokenizer() {
    print('load 8,192 tokens', 1e3 * (await seconds(tokenizerOf)), 'ms');
    const tokenizer = await tokenizerOf();
    const lines = chats().toString().trimEnd().split('\n');
    const ids = lines.map((line) => tokenizer.encode(line).ids);
    const count = ids.reduce((sum, { length }) => sum + length, 0);
    print(
      'encode with offsets',
      count / (await seconds(() => lines.map((line) => tokenizer.encode(line)))) / 1e3,
      'k tokens/s',
    );
    print(
      'decode',
      count / (await seconds(() => ids.map((each) => tokenizer.decode(each)))) / 1e3,
      'k tokens/s',
    );
  },
  async dataset() {
    const { collate, readJsonl, tokenizeRows } = await library('dataset');
    const bytes = chats();
    const options = await tutorOptions();
    const read = () => readJsonl(bytes, { file: 'chats' });
    const { rows } = read();
    print('read and check', rows.length / (await seconds(read)), 'rows/s');
    const tokenize = () => tokenizeRows(rows, options);
    const { examples } = tokenize();
    print('to tokens and labels', rows.length / (await seconds(tokenize)), 'rows/s');
    const batch = examples.slice(0, 8);
    const collated = await seconds(() => {
      for (let i = 0; i < 1000; i++) collate(batch, { padId: 0 });
    });
    print('a batch of eight', 1e3 * collated, 'us');
  },
  async safetensors() {
    const { bytesSource, fromFloat32, openSafetensors, toFloat32, writeSafetensors } =
      await library('safetensors');
    const tensors = Array.from({ length: 453 }, (_, i) => ({
      name: `model.layers.${i}.weight`,
      dtype: 'F16',
      shape: [256, 1024],
      data: new Uint8Array(2 * 256 * 1024),
    }));
    const file = writeSafetensors(tensors);
    const size = file.length / 1e9;
    print(
      'write 453 tensors, 237 MB',
      size / (await seconds(() => writeSafetensors(tensors))),
      'GB/s',
    );
    const open = () => openSafetensors(bytesSource(file, 'x.safetensors'));
    print('open and check them', 1e3 * (await seconds(open)), 'ms');
    const values = new Float32Array(16e6).map((_, i) => Math.sin(i));
    for (const dtype of ['F16', 'BF16']) {
      const bytes = fromFloat32(values, dtype);
      print(
        `${dtype} to f32`,
        0.016 / (await seconds(() => toFloat32(bytes, dtype))),
        'G values/s',
      );
      print(
        `f32 to ${dtype}`,
        0.016 / (await seconds(() => fromFloat32(values, dtype))),
        'G values/s',
      );
    }
  },
  async gguf() {
    const { ggufChunks, phi2Metadata } = await library('gguf');
    const { parsePhiConfig } = await library('phi2-model');
    const config = parsePhiConfig(JSON.parse(text('phi-nano/model/config.json')));
    const values = new Float32Array(16e6).map((_, i) => Math.sin(i));
    for (const type of ['F32', 'F16', 'BF16', 'Q8_0']) {
      const tensors = [
        { name: 'token_embd.weight', shape: [16e3, 1000], type, values: () => values },
      ];
      if (type === 'Q8_0') tensors[0].shape = [15625, 1024];
      const write = async () => {
        let bytes = 0;
        for await (const chunk of ggufChunks(phi2Metadata(config, 'x', type), tensors))
          bytes += chunk.length;
        return bytes;
      };
      print(`write ${type}`, 16 / (await seconds(write)), 'M values/s');
    }
  },
  async lora() {
    const { exportPeftAdapter, loadAdapter, mergeLora, readPeftAdapter } = await library('lora');
    const { memoryFolder } = await library('safetensors');
    const { backend, modules, adapter } = await largeAdapter();
    const files = await exportPeftAdapter(adapter);
    print('write 10.5 M parameters', 1e3 * (await seconds(() => exportPeftAdapter(adapter))), 'ms');
    const config = new TextEncoder().encode(files['adapter_config.json']);
    const folder = memoryFolder(Object.entries({ ...files, 'adapter_config.json': config }));
    print(
      'read them onto a device',
      1e3 *
        (await seconds(async () =>
          loadAdapter(backend, await readPeftAdapter(folder), modules).dispose(),
        )),
      'ms',
    );
    const [out, inner, rank] = [2560, 2560, 16];
    const weight = new Float32Array(out * inner);
    const update = {
      ...{ outFeatures: out, inFeatures: inner, rank, scaling: 2 },
      ...{ a: new Float32Array(rank * inner).fill(0.1), b: new Float32Array(out * rank).fill(0.1) },
    };
    print(
      'merge one of 2,560 by 2,560',
      1e3 * (await seconds(() => mergeLora(weight, update))),
      'ms',
    );
  },
  async 'paged-optim'() {
    const { adamw8bitStep, createAdamState } = await library('paged-optim');
    const size = 4_194_304;
    const parameter = new Float32Array(size);
    const gradient = new Float32Array(size).map((_, i) => Math.sin(i));
    const state = createAdamState(size);
    const rates = { learningRate: 2e-4, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 };
    let step = 0;
    const run = () => adamw8bitStep({ parameter, gradient, state, step: ++step, ...rates });
    print('8-bit AdamW on the host', size / (await seconds(run)) / 1e6, 'M values/s');
  },
  async trainer() {
    const { train } = await library('trainer');
    const steps = 2000;
    const run = async () => {
      const loop = train({
        model: {
          forwardBackward: async () => ({ lossSum: 1, tokens: 1 }),
          evaluate: async () => ({ lossSum: 1, tokens: 1 }),
        },
        optimizer: { zeroGrad() {}, gradNorm: async () => 1, step: async () => {} },
        train: {
          batchesPerEpoch: steps,
          batches: () => Array.from({ length: steps }, () => [1]),
          trainedTokens: () => 1,
          tokens: () => 1,
        },
        ...{ learningRate: 1, schedule: 'linear', warmupSteps: 0, epochs: 1, seed: 42 },
        gradientAccumulationSteps: 1,
      });
      for await (const _ of loop);
    };
    print("the loop's own part of a step", (1e6 * (await seconds(run))) / steps, 'us');
  },
  async errors() {
    const { parseJson } = await library('errors');
    const json = text('phi-nano/model/tokenizer.json');
    const rate = async (parse) => json.length / (await seconds(() => parse(json))) / 1e6;
    print('parseJson', await rate(parseJson), 'MB/s');
    print('JSON.parse', await rate(JSON.parse), 'MB/s');
  },
};

const chosen = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(benches);
console.log(`Node ${process.version}, ${fileURLToPath(new URL('../..', import.meta.url))}`);
for (const name of chosen) {
  console.log(`\n# ${name}`);
  await benches[name]();
}
