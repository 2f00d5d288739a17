import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { qlora, temporaryFolder } from './support/qlora.js';

const folder = temporaryFolder();
const source = new URL('../../../packages/tutor-dataset/data/test.jsonl', import.meta.url);
const data = join(folder, 'two.jsonl');
writeFileSync(data, readFileSync(fileURLToPath(source), 'utf8').split('\n').slice(0, 2).join('\n'));
const neutral = join(folder, 'neutral.jsonl');
writeFileSync(neutral, '{"kind":"es","text":"El mercado abre antes de que salga el sol."}\n');
const common = ['--data', data, '--neutral', neutral, '--max-new-tokens', '6'];

test('the base and an adapter stand side by side, and an earlier evaluation beside them', async () => {
  const out = join(folder, 'adapter');
  const training = ['--data', data, '--out', out, '--max-steps', '1', '--learning-rate', '1e-2'];
  expect((await qlora('train', '--base', 'phi-nano', ...training)).code).toBe(0);
  const report = join(folder, 'report');
  const first = await qlora('eval', '--adapter', out, ...common, '--out', report, '--json');
  expect(first.stderr).not.toContain('error');
  expect(first.code).toBe(0);
  const document = JSON.parse(first.stdout);
  expect(document).toMatchObject({ base: 'phi-nano', generation: { max_new_tokens: 6 } });
  const [base, adapter] = document.voices;
  expect(base).toMatchObject({ adapter: null, chats: 2, load_in_4bit: true });
  expect(adapter).toMatchObject({ name: 'adapter', adapter: out });
  expect(adapter.metrics.perplexity.value).toBeLessThan(base.metrics.perplexity.value);
  expect(adapter.metrics.stop_rate.value).toBe(0); // six tokens end no answer
  expect(adapter.neutral.es.forgetting.n).toBe(1);
  expect(readFileSync(join(report, 'report.html'), 'utf8')).toContain('<!doctype html>');
  const saved = JSON.parse(readFileSync(join(report, 'eval.json'), 'utf8'));
  expect(saved.records[1].chats[0].answers[0].tokens).toBe(6);

  const against = ['--against', join(report, 'eval.json'), '--no-generate', '--no-load-in-4bit'];
  const second = await qlora('eval', '--adapter', out, ...common, ...against);
  expect(second.code).toBe(0);
  expect(second.stdout).toContain('adapter (4-bit)');
}, 180_000); // five commands, each loading the model

test('what cannot be set beside it is refused by name', async () => {
  const other = join(folder, 'other.json');
  writeFileSync(other, '{"records":[{"name":"x","chats":[],"neutral":[]}]}');
  const base = ['eval', '--base', 'phi-nano', ...common, '--no-generate'];
  const rows = await qlora(...base, '--against', other);
  expect(rows.code).toBe(2);
  expect(rows.stderr).toContain('other.json was made on other rows');
  writeFileSync(other, '{}');
  const shape = await qlora(...base, '--against', other, '--json');
  expect(shape.code).toBe(2);
  expect(JSON.parse(shape.stdout).error.code).toBe('EVAL_AGAINST');
});
