import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeSafetensors } from '@qlorajs/safetensors';
import { describe, expect, test } from 'vitest';
import { copyBase, editConfig, tinyBase, writeTokenRows } from './support/bases.js';
import { qlora, temporaryFolder } from './support/qlora.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const rows = writeTokenRows(at('rows.jsonl'));
const out = at('out');

/** Trains with what is wrong; every case must end with 2, name the thing and write nothing. */
async function refused(args: readonly string[], ...named: readonly string[]): Promise<void> {
  const { code, stdout, stderr } = await qlora('train', '--out', out, ...args);
  expect(stderr).toMatch(/^error: [\s\S]* \[[A-Z_0-9]+\]$/m);
  for (const each of named) expect(stderr).toContain(each);
  expect(stderr).not.toMatch(/^\s+at /m);
  expect(code).toBe(2);
  expect(stdout).toBe('');
  expect(existsSync(out)).toBe(false);
}

const withBase = (base: string) => ['--base', base, '--data', rows];

describe('a base that cannot be used', () => {
  test('a folder that is not there', () =>
    refused(withBase(at('nowhere')), 'nowhere', 'BASE_MISSING'));

  test('an id of the Hub, without a network', () =>
    refused(withBase('microsoft/phi-2'), 'unset HF_HUB_OFFLINE', 'HUB_OFFLINE'));

  test('a truncated file of weights', async () => {
    const base = copyBase(at('truncated'));
    const file = join(base, 'model.safetensors');
    writeFileSync(file, readFileSync(file).subarray(0, -100));
    await refused(withBase(base), file);
  });

  test('weights of a dtype that is no float', async () => {
    const base = copyBase(at('integers'));
    const file = join(base, 'model.safetensors');
    const bytes = readFileSync(file);
    // The same number of bytes, so that only the dtype is wrong.
    const spoiled = bytes.toString('latin1').replace('"dtype":"F32"', '"dtype":"I32"');
    writeFileSync(file, Buffer.from(spoiled, 'latin1'));
    await refused(withBase(base), 'is I32', 'PHI_TENSORS');
  });

  test('a NaN in a tensor that is not quantized', async () => {
    const base = copyBase(at('nan'));
    const file = join(base, 'model.safetensors');
    const bytes = readFileSync(file);
    const headerEnd = 8 + Number(bytes.readBigUInt64LE(0));
    const header = JSON.parse(bytes.toString('utf8', 8, headerEnd));
    const [start] = header['model.embed_tokens.weight'].data_offsets;
    bytes.writeFloatLE(Number.NaN, headerEnd + start + 4 * 7);
    writeFileSync(file, bytes);
    await refused(withBase(base), 'model.embed_tokens.weight: value 7 is NaN', 'PHI_NOT_FINITE');
  });

  test('an index that names a shard that is not there', async () => {
    const base = at('sharded');
    mkdirSync(base);
    writeFileSync(join(base, 'config.json'), readFileSync(join(tinyBase, 'config.json')));
    const weight_map = { 'lm_head.bias': 'model-00001-of-00002.safetensors' };
    writeFileSync(
      join(base, 'model.safetensors.index.json'),
      JSON.stringify({ metadata: { total_size: 4 }, weight_map }),
    );
    await refused(withBase(base), 'model-00001-of-00002.safetensors', 'missing');
  });

  test('another architecture', async () => {
    const base = copyBase(at('llama'));
    editConfig(base, { model_type: 'llama' });
    await refused(withBase(base), join(base, 'config.json'), '"llama"', 'PHI_CONFIG');
  });

  test('weights that lack a tensor', async () => {
    const base = copyBase(at('lacking'));
    const data = new Float32Array(211);
    const bytes = writeSafetensors({ 'lm_head.bias': { dtype: 'F32', shape: [211], data } });
    writeFileSync(join(base, 'model.safetensors'), bytes);
    await refused(withBase(base), 'missing model.embed_tokens.weight', 'PHI_TENSORS');
  });
});

describe('a dataset that cannot be used', () => {
  test('every bad row is listed with its line and reason', async () => {
    const file = at('bad.jsonl');
    const chat = (role: string, content: string) =>
      JSON.stringify({
        messages: [
          { role: 'user', content: 'Hola' },
          { role, content },
        ],
      });
    writeFileSync(
      file,
      Buffer.concat([
        Buffer.from(`${chat('assistant', 'bien')}\n`),
        Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x0a]),
        Buffer.from('{"messages": [\n'),
        Buffer.from(`${chat('robot', 'bip')}\n`),
        Buffer.from(`${chat('assistant', '   ')}\n`),
        // Wrong only as tokens: too long, and nothing to learn.
        Buffer.from(`${chat('assistant', 'palabra '.repeat(600))}\n`),
        Buffer.from('{"input_ids": [1, 2], "labels": [-100, -100]}\n'),
      ]),
    );
    await refused(
      ['--base', 'phi-nano', '--data', file],
      ...[2, 3, 4, 5, 6, 7].map((line) => `${file}:${line}`),
      ...['UTF-8', 'robot', 'empty', 'max_seq_length 512', '6 rows cannot be used'],
    );
  });

  test('a row longer than max_seq_length', () =>
    refused(
      [...withBase(tinyBase), '--max-seq-length', '20'],
      ...[`${rows}:1`, '24 tokens', 'max_seq_length 20', 'DATASET_TOO_LONG'],
    ));

  test('text on a base without a tokenizer', async () => {
    const file = at('text.jsonl');
    writeFileSync(file, '{"text": "hola"}\n');
    await refused(['--base', tinyBase, '--data', file], 'tokenizer.json', 'DATASET_TOKENIZER');
  });
});

describe('flags that cannot be used', () => {
  test.each([
    [['frobnicate'], "unknown command 'frobnicate'"],
    [['train', '--lerning-rate', '1'], "unknown option '--lerning-rate'"],
    [['train', '--base', 'phi-nano'], '--data FILE is missing'],
    [['train', '--base', tinyBase, '--data', rows, '--out', out, '--r', 'many'], '--r is "many"'],
    [['ask', 'hola', '--base', 'phi-nano', '--backend', 'cuda'], 'it must be one of auto'],
    [
      ['train', '--base', tinyBase, '--data', rows, '--out', out, '--target-modules', 'q_prj'],
      'LORA_NO_TARGET',
    ],
  ])('%j', async (args, message) => {
    const { code, stdout, stderr } = await qlora(...args);
    expect(stderr).toContain(message);
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(existsSync(out)).toBe(false);
  });

  test('an unknown key of the configuration file, naming the nearest', async () => {
    const file = at('run.yaml');
    writeFileSync(file, 'learning_rat: 1e-4\n');
    await refused([...withBase(tinyBase), '--config', file], 'learning_rat"', '"learning_rate"');
  });

  test('broken JSON in the configuration file, even where YAML would take it', async () => {
    const file = at('run.json');
    writeFileSync(file, '{"learning_rate": }');
    await refused([...withBase(tinyBase), '--config', file], file, 'CONFIG_SYNTAX');
  });

  test('with --json the error is the one document on stdout', async () => {
    const { code, stdout } = await qlora('ask', 'hola', '--base', at('nowhere'), '--json');
    expect(code).toBe(2);
    expect(JSON.parse(stdout).error).toMatchObject({ code: 'BASE_MISSING' });
  });
});

describe('a place that cannot be written', () => {
  // Permissions do not hold root back, so the folder lies under a file, and in /proc.
  test.each([join(rows, 'out'), ...(process.platform === 'linux' ? ['/proc/qlora-out'] : [])])(
    '%s',
    async (place) => {
      const { code, stderr } = await qlora('train', ...withBase(tinyBase), '--out', place);
      expect(stderr).toContain(`cannot make the folder ${place}`);
      expect(stderr).not.toContain('step 1');
      expect(code).toBe(2);
    },
  );

  test('a folder that holds other files', async () => {
    const { code, stderr } = await qlora('train', ...withBase(tinyBase), '--out', tinyBase);
    expect(stderr).toContain('OUTPUT_NOT_EMPTY');
    expect(code).toBe(2);
  });
});
