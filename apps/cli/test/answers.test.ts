import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Driven } from './support/driven.js';
import { qlora, temporaryFolder } from './support/qlora.js';
import { adapterPaths } from './support/served.js';

const folder = temporaryFolder();
const { sql, stories } = adapterPaths;

describe('ask', () => {
  const ask = async (...flags: string[]) => {
    const args = ['--adapter', sql, '--max-new-tokens', '24', '--backend', 'wasm', '--json'];
    const { stdout, code } = await qlora('ask', '¿Cómo cuento los productos?', ...args, ...flags);
    expect(code).toBe(0);
    return JSON.parse(stdout) as { answer: string; finish_reason: string; tokens: number };
  };

  test('--stop ends before the text, whichever of several comes first', async () => {
    const whole = await ask();
    expect(whole.answer).toContain('SELECT');
    const before = whole.answer.slice(0, whole.answer.indexOf('SELECT'));
    const one = await ask('--stop', 'SELECT');
    expect(one).toMatchObject({ answer: before, finish_reason: 'stop' });
    expect(one.tokens).toBeLessThan(whole.tokens);
    const two = await ask('--stop', 'no such text', '--stop', 'SELECT');
    expect(two.answer).toBe(before);
  });

  test('--min-p 1, --top-k 1 and a tiny --top-p take the likeliest token at any temperature', async () => {
    const hot = ['--temperature', '1.7'];
    const [greedy, free, ...narrowed] = await Promise.all([
      ask(),
      ask(...hot),
      ask(...hot, '--min-p', '1'),
      ask(...hot, '--top-k', '1'),
      ask(...hot, '--top-p', '0.000001'),
    ]);
    for (const { answer } of narrowed) expect(answer).toBe(greedy.answer);
    expect(free.answer).not.toBe(greedy.answer);
  });

  test.each([
    ['--min-p', '2'],
    ['--top-p', '-1'],
    ['--temperature', 'hot'],
    ['--top-k', '1.5'],
  ])('%s %s is refused', async (flag, value) => {
    const { code, stderr } = await qlora('ask', 'x', '--adapter', sql, flag, value);
    expect(stderr).toContain(`${flag} is "${value}"; it must be`);
    expect(code).toBe(2);
  });
});

describe('serve', () => {
  const FLAGS = ['--base', 'phi-nano', '--backend', 'wasm', '--port', '0', '--threads', '1'];

  test('another address than loopback without a token is refused before anything is loaded', async () => {
    for (const host of ['0.0.0.0', '::', '10.0.0.1']) {
      const { code, stderr, stdout } = await qlora('serve', ...FLAGS, '--host', host);
      expect(stderr).toMatch(/lets other machines in: give a --token .*\[SERVE_TOKEN\]/);
      expect(stderr).not.toContain('base phi-nano');
      expect(stdout).toBe('');
      expect(code).toBe(2);
    }
  });

  test.each([
    ['--token', ['--token', 'secret'], {}],
    ['QLORA_TOKEN', [], { QLORA_TOKEN: 'secret' }],
  ])('with %s it listens there, and asks clients for it', async (_, flags, env) => {
    const args = ['serve', ...FLAGS, '--host', '0.0.0.0', '--adapter', stories, ...flags];
    const server = Driven.start(args, env);
    const { stdout } = await server.until('stdout', /http:\/\/0\.0\.0\.0:\d+\n/);
    const url = stdout.trim().replace('0.0.0.0', '127.0.0.1');
    const models = (key?: string) =>
      fetch(`${url}/v1/models`, { headers: key ? { authorization: `Bearer ${key}` } : {} });
    expect((await models()).status).toBe(401);
    expect((await models('wrong')).status).toBe(401);
    const listed = (await (await models('secret')).json()) as { data: { id: string }[] };
    expect(listed.data.map(({ id }) => id)).toEqual(['phi-nano', 'stories']);
    server.child.kill('SIGTERM');
    expect(await server.ended).toMatchObject({ code: 0 });
  });
});

test('export writes a model card with its figures beside the GGUF file', async () => {
  const out = join(folder, 'gguf');
  const args = ['--adapter', stories, '--out', out, '--outtype', 'q8_0', '--json'];
  const { code, stdout } = await qlora('export', ...args);
  expect(code).toBe(0);
  expect(JSON.parse(stdout).files).toEqual(['model.gguf', 'Modelfile', 'README.md']);
  const card = readFileSync(join(out, 'README.md'), 'utf8');
  const { length } = readFileSync(join(out, 'model.gguf'));
  expect(card).toMatch(/^---\nbase_model: "phi-nano"\nlibrary_name: gguf\n/);
  expect(card).toContain('| parameters | 15,151,296 |');
  expect(card).toContain('| adapters | stories |');
  expect(card).toContain('| matrices | q8_0; norms and biases f32 |');
  expect(card).toContain('| context | 512 tokens |');
  expect(card).toContain('| an answer ends with | `<|end|>`, `<|endoftext|>` |');
  expect(card).toContain(`| \`model.gguf\` | ${(length / 1e6).toFixed(1)} MB |`);
});

test('merge writes a model card with its figures', async () => {
  const out = join(folder, 'merged');
  const args = ['--adapter', stories, '--out', out, '--backend', 'wasm', '--json'];
  const { code, stdout } = await qlora('merge', ...args);
  expect(code).toBe(0);
  const { logits, bytes } = JSON.parse(stdout);
  expect(logits.largest).toBeGreaterThan(0);
  expect(logits.largest).toBeLessThan(2e-2);
  const card = readFileSync(join(out, 'README.md'), 'utf8');
  expect(card).toContain('# phi-nano with stories merged in');
  expect(card).toContain('| format | float16 |');
  expect(card).toContain(`| weights | ${(bytes / 1e6).toFixed(1)} MB |`);
  expect(card).toContain(`largest difference ${logits.largest.toExponential(2)}`);
});
