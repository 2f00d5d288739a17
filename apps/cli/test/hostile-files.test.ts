import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { phiNano } from '@qlorajs/phi-nano';
import { describe, expect, test } from 'vitest';
import { copyBase, editConfig, tiny, tinyBase } from './support/bases.js';
import { qlora, temporaryFolder } from './support/qlora.js';

/** Files that someone else made, as SECURITY.md lists them; each must end in one error, soon. */
const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const ids = at('ids.json');
writeFileSync(ids, '{"input_ids":[[1,2,3]]}');
const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;

async function refused(args: readonly string[], code: string): Promise<string> {
  const started = performance.now();
  const ended = await qlora(...args);
  expect(ended.stderr).toContain(`[${code}]`);
  expect(ended.stderr).not.toMatch(/^\s+at /m);
  expect(ended.code).toBe(2);
  expect(performance.now() - started).toBeLessThan(50_000);
  return ended.stderr;
}

const logits = (base: string, adapter?: string, input = ids, out = at('x.safetensors')) => [
  ...['logits', '--backend', 'wasm', '--base', base, '--ids', input, '--out', out],
  ...(adapter === undefined ? [] : ['--adapter', adapter]),
];

/** A copy of the adapter of the tiny base, with one file changed. */
function adapterWith(name: string, file: string, content: string): string {
  const copy = at(name);
  cpSync(join(tiny, 'adapter'), copy, { recursive: true });
  writeFileSync(join(copy, file), content);
  return copy;
}

describe('no pickle is read', () => {
  test.each(['pytorch_model.bin', 'model.pt', 'model.pth', 'model.ckpt'])(
    'a base of %s',
    async (name) => {
      const base = copyBase(at(name));
      rmSync(join(base, 'model.safetensors'));
      writeFileSync(join(base, name), 'PK\x03\x04');
      expect(await refused(logits(base), 'SAFETENSORS_CHECKPOINT_MISSING')).toContain(
        'safe_serialization=True',
      );
    },
  );

  test('an adapter_model.bin', async () => {
    const adapter = adapterWith('pickled', 'adapter_model.bin', 'PK');
    rmSync(join(adapter, 'adapter_model.safetensors'));
    expect(await refused(logits(tinyBase, adapter), 'LORA_FILE_MISSING')).toContain(
      'adapter_model.bin',
    );
  });

  test('a pickle under the name of safetensors', async () => {
    const base = copyBase(at('disguised'));
    writeFileSync(join(base, 'model.safetensors'), 'PK\x03\x04\0\0\0\0\x80\x02');
    await refused(logits(base), 'SAFETENSORS_TRUNCATED');
  });
});

describe('names lead nowhere', () => {
  test.each(['../rows.jsonl', '/etc/passwd', 'C:\\x', 'http://127.0.0.1/x'])(
    'the shard %s',
    async (shard) => {
      const base = copyBase(at('shards'));
      rmSync(join(base, 'model.safetensors'));
      writeFileSync(
        join(base, 'model.safetensors.index.json'),
        JSON.stringify({ weight_map: { x: shard } }),
      );
      await refused(logits(base), 'SAFETENSORS_SHARD_NAME');
    },
  );
});

describe('shapes and numbers without measure', () => {
  test.each([
    { num_hidden_layers: 1e9 },
    { hidden_size: 2 ** 40, num_attention_heads: 1 },
    { vocab_size: 2 ** 50 },
    { max_position_embeddings: 2 ** 50 },
    { partial_rotary_factor: 1e9 },
  ])('%o in config.json', async (change) => {
    const base = copyBase(at('wild'));
    editConfig(base, change);
    expect(await refused(logits(base), 'PHI_CONFIG')).toContain(Object.keys(change)[0]);
  });

  test.each([{ r: 1e9 }, { rank_pattern: { q_proj: 2 ** 40 } }])(
    '%o in adapter_config.json',
    async (change) => {
      const config = JSON.parse(readFileSync(join(tiny, 'adapter/adapter_config.json'), 'utf8'));
      const text = JSON.stringify({ ...config, ...change });
      const adapter = adapterWith('rank', 'adapter_config.json', text);
      await refused(logits(tinyBase, adapter), 'LORA_ADAPTER_MISMATCH');
    },
  );
});

describe('JSON nested 200,000 deep', () => {
  test.each([
    ['config.json', '{"model_type":DEEP}', 'JSON_SYNTAX'],
    ['config.json', '{"model_type":"phi","x":DEEP}', 'JSON_SYNTAX'],
    ['model.safetensors.index.json', '{"metadata":DEEP}', 'SAFETENSORS_INDEX_JSON'],
  ])('%s: %s', async (file, text, code) => {
    const base = copyBase(at('deep'));
    if (file !== 'config.json') rmSync(join(base, 'model.safetensors'));
    writeFileSync(join(base, file), text.replace('DEEP', deep));
    await refused(logits(base), code);
  });

  test.each([
    '{"peft_type":DEEP}',
    '{"peft_type":"LORA","bias":DEEP}',
    '{"peft_type":"LORA","x":DEEP}',
  ])('adapter_config.json: %s', async (text) => {
    const adapter = adapterWith('deep-adapter', 'adapter_config.json', text.replace('DEEP', deep));
    await refused(logits(tinyBase, adapter), 'LORA_CONFIG');
  });

  test('a row, token ids, options, tokenizer.json', async () => {
    writeFileSync(at('deep.jsonl'), `{"text":"x","meta":${deep}}\n`);
    const checked = await qlora('data', 'check', at('deep.jsonl'), '--base', 'phi-nano');
    expect([checked.code, checked.stderr]).toEqual([2, expect.stringContaining('deep.jsonl:1')]);
    writeFileSync(at('deep.json'), `{"input_ids":${deep}}`);
    await refused(logits(tinyBase, undefined, at('deep.json')), 'JSON_SYNTAX');
    for (const name of ['options.json', 'options.yaml']) {
      writeFileSync(at(name), `{"base":${deep}}`);
      await refused(['train', '--config', at(name)], 'CONFIG_SYNTAX');
    }
    const nano = at('nano');
    cpSync(fileURLToPath(phiNano.folder), nano, { recursive: true });
    writeFileSync(join(nano, 'tokenizer.json'), `{"model":${deep}}`);
    await refused(['tokenize', '--base', nano], 'TOKENIZER_JSON');
  });
});

test('a line with a word of 8 million letters is named', async () => {
  writeFileSync(at('long.jsonl'), `{"text":"x"}\n{"text":"${'a'.repeat(8e6)}"}\n`);
  const { code, stderr } = await qlora('data', 'check', at('long.jsonl'), '--base', 'phi-nano');
  expect([code, stderr]).toEqual([2, expect.stringContaining('long.jsonl:2: A text of 8000000')]);
});

test('keys named __proto__ and constructor change nothing', async () => {
  const evil = '"__proto__":{"r":99,"polluted":true},"constructor":{"prototype":{"polluted":true}}';
  const base = copyBase(at('proto'));
  const config = readFileSync(join(base, 'config.json'), 'utf8');
  writeFileSync(join(base, 'config.json'), config.replace('{', `{${evil},`));
  const text = readFileSync(join(tiny, 'adapter/adapter_config.json'), 'utf8');
  const adapter = adapterWith(
    'proto-adapter',
    'adapter_config.json',
    text.replace('{', `{${evil},`),
  );
  writeFileSync(at('proto.json'), `{${evil},"input_ids":[[1,2,3]]}`);
  const ended = await qlora(...logits(base, adapter, at('proto.json')));
  expect(ended.stderr).not.toContain('error');
  expect(ended.code).toBe(0);
  const plain = await qlora(...logits(tinyBase, join(tiny, 'adapter'), ids, at('y.safetensors')));
  expect(plain).toMatchObject({ code: 0 });
  expect(readFileSync(at('x.safetensors'))).toEqual(readFileSync(at('y.safetensors')));
  writeFileSync(at('proto-options.json'), `{${evil}}`);
  await refused(['train', '--config', at('proto-options.json')], 'CONFIG_KEY');
});
