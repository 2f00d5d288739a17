import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bytesSource, openSafetensors } from '@qlorajs/safetensors';
import { expect, test } from 'vitest';
import { expected, tiny, tinyBase, writeTokenRows } from './support/bases.js';
import { qlora, start, temporaryFolder } from './support/qlora.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const tutorRows = fileURLToPath(
  new URL('../../../packages/tutor-dataset/data/test.jsonl', import.meta.url),
);

async function tensor(file: string, name: string): Promise<Float32Array> {
  return (await openSafetensors(bytesSource(readFileSync(file), file))).readFloat32(name);
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length);
  return a.reduce((worst, value, i) => Math.max(worst, Math.abs(value - b[i])), 0);
}

const { input_ids, attention_mask } = expected;
writeFileSync(at('ids.json'), JSON.stringify({ input_ids, attention_mask }));

test('logits: base and adapter give what transformers and peft give', async () => {
  const args = ['logits', '--base', tinyBase, '--ids', at('ids.json')];
  const adapter = ['--adapter', join(tiny, 'adapter')];
  const ends = await Promise.all([
    qlora(...args, '--out', at('base.safetensors')),
    qlora(...args, '--out', at('lora.safetensors'), ...adapter, '--json'),
  ]);
  expect(ends.map(({ code }) => code)).toEqual([0, 0]);
  expect(JSON.parse(ends[1].stdout)).toMatchObject({ dtype: 'F32', shape: [3, 24, 211] });
  const reference = join(tiny, 'expected.safetensors');
  for (const name of ['base', 'lora']) {
    const got = await tensor(at(`${name}.safetensors`), 'logits');
    expect(largestDifference(got, await tensor(reference, `${name}.logits`))).toBeLessThan(1e-5);
  }
});

test('logits: rows padded on the left, or on both sides, get the same at their real tokens', async () => {
  const width = input_ids[0].length + 3;
  const pad = (row: readonly number[], left: number) => [
    ...Array(left).fill(0),
    ...row,
    ...Array(width - left - row.length).fill(0),
  ];
  const rows = input_ids.map((row, i) => row.slice(0, attention_mask[i].lastIndexOf(1) + 1));
  const lefts = rows.map((row, i) => (i === 0 ? width - row.length : i));
  const moved = {
    input_ids: rows.map((row, i) => pad(row, lefts[i])),
    attention_mask: rows.map((row, i) => pad(Array(row.length).fill(1), lefts[i])),
  };
  writeFileSync(at('left.json'), JSON.stringify(moved));
  const files = ['--ids', at('left.json'), '--out', at('left.safetensors')];
  expect((await qlora('logits', '--base', tinyBase, ...files)).code).toBe(0);
  const got = await tensor(at('left.safetensors'), 'logits');
  const reference = await tensor(join(tiny, 'expected.safetensors'), 'base.logits');
  const [vocab, length] = [211, input_ids[0].length];
  for (const [i, row] of rows.entries()) {
    const here = (i * width + lefts[i]) * vocab;
    const there = i * length * vocab;
    const count = row.length * vocab;
    const off = largestDifference(
      got.subarray(here, here + count),
      reference.subarray(there, there + count),
    );
    expect(off).toBeLessThan(1e-5);
  }
});

test.each([
  ['a hole', { input_ids: [[1, 2, 3]], attention_mask: [[1, 0, 1]] }],
  ['a row of padding alone', { input_ids: [[1, 2]], attention_mask: [[0, 0]] }],
  ['a mask of other numbers', { input_ids: [[1, 2]], attention_mask: [[1, 2]] }],
])('logits: %s is refused', async (_, ids) => {
  writeFileSync(at('padded.json'), JSON.stringify(ids));
  const files = ['--ids', at('padded.json'), '--out', at('none.safetensors')];
  const { code, stderr } = await qlora('logits', '--base', tinyBase, ...files);
  expect(stderr).toContain('row 0 of attention_mask');
  expect(code).toBe(2);
  expect(existsSync(at('none.safetensors'))).toBe(false);
});

test('quantize: the 4-bit folder gives the logits of the base quantized while loading', async () => {
  const out = at('nf4');
  const { code, stderr } = await qlora('quantize', '--base', tinyBase, '--out', out, '--verbose');
  expect(code).toBe(0);
  expect(stderr).toContain('peak of extra host memory for one tensor');
  expect(readdirSync(out).sort()).toEqual([
    'config.json',
    'generation_config.json',
    'model.safetensors',
  ]);
  const config = JSON.parse(readFileSync(join(out, 'config.json'), 'utf8'));
  expect(config.quantization_config).toMatchObject({
    load_in_4bit: true,
    quant_method: 'bitsandbytes',
  });
  const ids = ['--ids', at('ids.json')];
  await Promise.all([
    qlora('logits', '--base', out, ...ids, '--out', at('stored.safetensors')),
    qlora(
      'logits',
      '--base',
      tinyBase,
      '--load-in-4bit',
      ...ids,
      '--out',
      at('loaded.safetensors'),
    ),
  ]);
  const [stored, loaded] = await Promise.all(
    ['stored', 'loaded'].map((name) => tensor(at(`${name}.safetensors`), 'logits')),
  );
  expect(largestDifference(stored, loaded)).toBe(0);
  const exact = await tensor(join(tiny, 'expected.safetensors'), 'base.logits');
  expect(largestDifference(stored, exact)).toBeGreaterThan(1e-3);
});

test('tokenize: stdin to ids', async () => {
  const { stdout, code } = await start(['tokenize', '--json'], { stdin: 'Hola  mundo\n' }).ended;
  expect(code).toBe(0);
  const { ids, tokens, count } = JSON.parse(stdout);
  expect(tokens).toEqual(['H', 'ola', 'Ġ', 'Ġmundo', 'Ċ']);
  expect(count).toBe(ids.length);
});

test('tokenize: what is not UTF-8 is refused, a byte order mark is kept', async () => {
  const latin1 = await start(['tokenize'], { stdin: Buffer.from([0xf1, 0x61]) }).ended;
  expect(latin1.stderr).toContain('INPUT_ENCODING');
  expect(latin1.code).toBe(2);
  const marked = await start(['tokenize', '--json'], { stdin: '\ufeffa' }).ended;
  expect(JSON.parse(marked.stdout).tokens).toEqual(['ï', '»', '¿', 'a']);
});

test('ask: without a question it reads stdin', async () => {
  const args = ['ask', '--base', 'phi-nano', '--max-new-tokens', '3', '--json'];
  const [piped, given, none] = await Promise.all([
    start(args, { stdin: 'Hola\n' }).ended,
    qlora(...args, 'Hola'),
    qlora(...args),
  ]);
  expect(JSON.parse(piped.stdout).answer).toBe(JSON.parse(given.stdout).answer);
  expect(none.code).toBe(2);
  expect(none.stderr).toContain('QUESTION_MISSING');
});

test('data check: a base without a tokenizer shows ids; rows that are too long are named', async () => {
  const rows = writeTokenRows(at('rows.jsonl'));
  const args = ['data', 'check', rows, '--base', tinyBase, '--show', '1', '--max-seq-length', '20'];
  const { stdout, code } = await qlora(...args);
  expect(code).toBe(0);
  expect(stdout).toContain('over max_seq_length 20 (lines 1, 2)');
  const trained = expected.labels[0].filter((label) => label >= 0).slice(0, 3);
  expect(stdout).toContain(`[[ ${trained.join(' ')} `);
});

test('data check: counts, marks what is trained, lists every bad row', async () => {
  const good = await qlora('data', 'check', tutorRows, '--show', '1');
  expect(good.code).toBe(0);
  const rows = readFileSync(tutorRows, 'utf8').trimEnd().split('\n').length;
  expect(good.stdout).toMatch(new RegExp(`rows +${rows} `));
  expect(good.stdout).toMatch(/<\|assistant\|>\n\[\[📌[\s\S]*<\|end\|>\]\]\n/u);

  writeFileSync(at('bad.jsonl'), '{"text": "hola"}\n{"text": 3}\n[1]\n');
  const bad = await qlora('data', 'check', at('bad.jsonl'), '--json');
  expect(bad.code).toBe(2);
  expect(JSON.parse(bad.stdout)).toMatchObject({
    ok: false,
    rows: 1,
    errors: [{ line: 2 }, { line: 3 }],
  });
  expect(bad.stderr).toContain(`${at('bad.jsonl')}:3`);
});

test('doctor: what is here and what auto takes', async () => {
  const { stdout, code } = await qlora('doctor', '--json');
  expect(code).toBe(0);
  const { backends, auto, node } = JSON.parse(stdout);
  expect(node).toBe(process.version);
  expect(auto.backend).toBe('wasm');
  expect(backends.map(({ name }: { name: string }) => name)).toEqual(['webgpu', 'wasm', 'gpujs']);
});

test('--experimental-simd gives the CPU engine relaxed SIMD in Node 20 too', async () => {
  const { stdout, code } = await qlora('doctor', '--json', '--experimental-simd');
  expect(code).toBe(0);
  const { backends } = JSON.parse(stdout);
  const wasm = backends.find(({ name }: { name: string }) => name === 'wasm');
  expect(wasm.info.relaxedSimd).toBe(true);
  expect(['6x8', '6x16']).toContain(wasm.info.tile);
});
