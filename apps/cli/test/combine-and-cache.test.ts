import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bytesSource, openSafetensors } from '@qlorajs/safetensors';
import { expect, test } from 'vitest';
import { expected, tiny, tinyBase } from './support/bases.js';
import { qlora, start, temporaryFolder } from './support/qlora.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const adapter = join(tiny, 'adapter');
const { input_ids, attention_mask } = expected;
writeFileSync(at('ids.json'), JSON.stringify({ input_ids, attention_mask }));

let files = 0;

async function logits(...args: string[]): Promise<Float32Array> {
  const out = at(`logits-${++files}.safetensors`);
  const ids = ['--ids', at('ids.json'), '--out', out];
  const { code, stderr } = await qlora('logits', '--base', tinyBase, ...ids, ...args);
  expect(code, stderr).toBe(0);
  return (await openSafetensors(bytesSource(readFileSync(out), out))).readFloat32('logits');
}

test('combine: the halves of an adapter add up to it, and the base answers so', async () => {
  const both = ['--adapter', adapter, '--adapter', adapter];
  const made = await qlora(
    ...['combine', '--base', tinyBase, ...both, '--combination-type', 'cat', '--json'],
    ...['--out', at('sum')],
  );
  expect(made.code, made.stderr).toBe(0);
  const { r } = JSON.parse(readFileSync(join(adapter, 'adapter_config.json'), 'utf8'));
  expect(JSON.parse(made.stdout)).toMatchObject({ weights: [0.5, 0.5], r: 2 * r });
  const [whole, sum, base] = [
    await logits('--adapter', adapter),
    await logits('--adapter', at('sum')),
    await logits(),
  ];
  const off = (other: Float32Array) =>
    whole.reduce((worst, value, i) => Math.max(worst, Math.abs(value - other[i])), 0);
  expect(off(sum)).toBeLessThan(1e-5);
  expect(off(base)).toBeGreaterThan(1e-2);
});

test('combine: wrong weights and a folder in use are refused, and nothing is written', async () => {
  const args = ['combine', '--base', tinyBase, '--adapter', adapter, '--adapter', adapter];
  const wrong = await qlora(...args, '--out', at('none'), '--weights', '1', '--weights', 'much');
  expect(wrong.code).toBe(2);
  expect(wrong.stderr).toContain('--weights: "much" is not a number');
  const one = await qlora(...args, '--out', at('none'), '--weights', '1');
  expect(one.code).toBe(2);
  expect(existsSync(at('none'))).toBe(false);
  mkdirSync(at('taken'));
  writeFileSync(join(at('taken'), 'mine.txt'), 'mine');
  const taken = await qlora(...args, '--out', at('taken'));
  expect(taken.code).toBe(2);
  expect(taken.stderr).toContain('give another --out');
  expect(readFileSync(join(at('taken'), 'mine.txt'), 'utf8')).toBe('mine');
});

test('cache: lists what is kept, and --clear removes it', async () => {
  const env = { XDG_CACHE_HOME: at('cache') };
  const kept = join(at('cache'), 'qlorajs', 'nf4');
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await start(['cache', ...args], { env }).ended;
    expect(code, stderr).toBe(0);
    return stdout;
  };
  expect(await run()).toContain('0 quantized bases');
  mkdirSync(kept, { recursive: true });
  writeFileSync(join(kept, 'phi-2-abc.safetensors'), Buffer.alloc(2_500_000));
  writeFileSync(join(kept, 'notes.txt'), 'not a base');
  expect(JSON.parse(await run('--json'))).toMatchObject({
    ...{ folder: kept, bytes: 2_500_000, cleared: false },
    files: [{ file: join(kept, 'phi-2-abc.safetensors'), bytes: 2_500_000 }],
  });
  expect(await run()).toMatch(/2\.50 MB .*phi-2-abc\.safetensors\n1 quantized bases, 2\.50 MB/);
  expect(await run('--clear')).toContain('removed 1 quantized bases, 2.50 MB');
  expect(existsSync(join(kept, 'phi-2-abc.safetensors'))).toBe(false);
  expect(await run()).toContain('0 quantized bases');
});
