import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, test } from 'vitest';
import { type Ended, qlora, start, temporaryFolder } from './support/qlora.js';

const folder = temporaryFolder();
const out = join(folder, 'tutor');
const SYSTEM = 'Eres un tutor de algoritmos. Explica en español, paso a paso.';
let trained: Ended;

beforeAll(async () => {
  const source = new URL('../../../packages/tutor-dataset/data/test.jsonl', import.meta.url);
  const lines = readFileSync(fileURLToPath(source), 'utf8').split('\n').slice(0, 4);
  const data = join(folder, 'four.jsonl');
  writeFileSync(data, `${lines.join('\n')}\n`);
  const settings = ['--learning-rate', '3e-3', '--num-train-epochs', '4', '--eval-split', '1'];
  trained = await qlora('train', '--base', 'phi-nano', '--data', data, '--out', out, ...settings);
});

test('four chats are learnt, and the folder is complete', () => {
  expect(trained.stderr).not.toContain('error');
  expect(trained.code).toBe(0);
  const log = readFileSync(join(out, 'train_log.jsonl'), 'utf8').trimEnd().split('\n');
  const losses = log.map((line) => JSON.parse(line).loss);
  expect(losses).toHaveLength(4);
  expect(losses[3]).toBeLessThan(losses[0] - 1);
  expect(JSON.parse(log[3]).eval_loss).toBeGreaterThan(0);
  expect(readdirSync(out).sort()).toEqual([
    'README.md',
    'adapter_config.json',
    'adapter_model.safetensors',
    'added_tokens.json',
    'chat_template.jinja',
    'loss.svg',
    'merges.txt',
    'special_tokens_map.json',
    'tokenizer.json',
    'tokenizer_config.json',
    'train_log.jsonl',
    'trainer_state.json',
    'vocab.json',
  ]);
});

test('the adapter records its base, its tokens and its system message', () => {
  const json = (name: string) => JSON.parse(readFileSync(join(out, name), 'utf8'));
  const ids = [8192, 8193, 8194, 8195];
  expect(json('adapter_config.json')).toMatchObject({
    base_model_name_or_path: 'phi-nano',
    r: 16,
    lora_alpha: 32,
    lora_dropout: 0.05,
    trainable_token_indices: { embed_tokens: ids, lm_head: ids },
  });
  expect(json('added_tokens.json')).toMatchObject({ '<|system|>': 8192, '<|end|>': 8195 });
  expect(json('tokenizer_config.json').default_system_prompt).toBe(SYSTEM);
});

test('ask answers with the folder alone, and says how it ended', async () => {
  const args = ['ask', '¿Qué es una pila?', '--adapter', out, '--max-new-tokens', '12'];
  const [plain, json] = await Promise.all([qlora(...args), qlora(...args, '--json')]);
  const document = JSON.parse(json.stdout);
  expect(document).toMatchObject({ base: 'phi-nano', adapter: out });
  expect(document.tokens).toBeLessThanOrEqual(12);
  expect(['stop', 'length']).toContain(document.finish_reason);
  expect(plain.stdout).toBe(`${document.answer}\n`);
  expect(plain.stdout).not.toContain('<|');
});

test('sampling draws the same answer from the same seed', async () => {
  const args = ['ask', 'Hola', '--adapter', out, '--max-new-tokens', '12', '--temperature', '1.5'];
  const [a, b, c] = await Promise.all(
    ['1', '1', '2'].map((seed) => qlora(...args, '--seed', seed)),
  );
  expect(a.stdout).toBe(b.stdout);
  expect(a.stdout).not.toBe(c.stdout);
});

test('chat takes lines of stdin, switches adapters and forgets old turns with a notice', async () => {
  const twin = join(folder, 'twin');
  mkdirSync(twin);
  for (const file of readdirSync(out)) copyFileSync(join(out, file), join(twin, file));
  const long = 'pila '.repeat(150);
  const stdin = ['Hola', '/use twin', long, long, long, '/reset', 'Hola', '/exit', 'never'].join(
    '\n',
  );
  const adapters = ['--adapter', out, '--adapter', twin, '--max-new-tokens', '4'];
  const { stdout, stderr, code } = await start(['chat', ...adapters, '--json'], { stdin }).ended;
  expect(code).toBe(0);
  const { turns } = JSON.parse(stdout);
  expect(turns).toHaveLength(5);
  expect(turns.map(({ voice }: { voice: string }) => voice)).toEqual([
    'tutor',
    ...Array.from({ length: 4 }, () => 'twin'),
  ]);
  expect(turns[3].forgotten).toBeGreaterThan(0);
  expect(stderr).toContain('the context of 512 tokens was full');
  // The same words from an empty history: the cache changes nothing.
  expect(turns[4].answer).toBe(turns[0].answer);
  expect(turns[4].prompt_tokens).toBe(turns[0].prompt_tokens);
});
