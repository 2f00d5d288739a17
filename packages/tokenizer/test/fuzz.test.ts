import { mkdirSync, writeFileSync } from 'node:fs';
import { Tokenizer as RustTokenizer } from '@anush008/tokenizers';
import { describe, expect, test } from 'vitest';
import { loadTokenizer, type Offset } from '../src/index.js';
import { buildPhi2TokenizerJson, PHI_2_TOKENIZER_CONFIG } from './phi-2.js';
import { phiNanoFiles } from './phi-nano.js';
import { randomNumbers, randomText } from './random-text.js';

// `node scripts/fuzz.mjs` sets these for a long run.
const COUNT = Number(process.env.QLORAJS_FUZZ_COUNT ?? 2000);
const SEED = Number(process.env.QLORAJS_FUZZ_SEED ?? 1);
const OUT = process.env.QLORAJS_FUZZ_OUT;

/** Rust counts in code points. */
function toUtf16(text: string, offsets: readonly number[][]): Offset[] {
  const units = [0];
  for (const character of text) units.push(units.at(-1)! + character.length);
  return offsets.map(([start, end]) => [units[start!]!, units[end!]!]);
}

const MARKERS = ['<|system|>', '<|user|>', '<|assistant|>', '<|end|>', '  x'];

describe.each([
  ['phi-nano', phiNanoFiles(), 8256],
  [
    'phi-2',
    { tokenizerJson: buildPhi2TokenizerJson(), tokenizerConfig: PHI_2_TOKENIZER_CONFIG },
    51200,
  ],
])('%s against the Rust tokenizers', (name, files, limit) => {
  const tokenizer = loadTokenizer(files).addTokens(MARKERS, { limit });
  const json = tokenizer.files()['tokenizer.json']!;
  const rust = RustTokenizer.fromString(json);
  const addedTokens = (JSON.parse(json) as { added_tokens: { content: string }[] }).added_tokens;
  const contents = addedTokens.map(({ content }) => content);

  test(`${COUNT} texts from seed ${SEED}: same ids, offsets and decoded text`, async () => {
    const random = randomNumbers(SEED);
    const lines: string[] = [];
    for (let index = 0; index < COUNT; index++) {
      const text = randomText(random, contents);
      const { ids, offsets } = tokenizer.encode(text);
      const expected = await rust.encode(text, null, { addSpecialTokens: false });
      // One comparison instead of three, since building the message of `expect` is what takes time.
      const same =
        String(ids) === String(expected.getIds()) &&
        String(offsets) === String(toUtf16(text, expected.getOffsets())) &&
        tokenizer.decode(ids) === text;
      if (!same) {
        expect({ text, ids }).toEqual({ text, ids: expected.getIds() });
        expect({ text, offsets }).toEqual({
          text,
          offsets: toUtf16(text, expected.getOffsets()),
        });
        expect(tokenizer.decode(ids)).toBe(text);
      }
      lines.push(JSON.stringify({ text, ids, offsets }));
    }
    expect(lines).toHaveLength(COUNT);
    if (OUT) {
      const folder = `${OUT}/${name}`;
      mkdirSync(folder, { recursive: true });
      for (const [file, text] of Object.entries(tokenizer.files())) {
        writeFileSync(`${folder}/${file}`, text);
      }
      writeFileSync(`${folder}/texts.jsonl`, `${lines.join('\n')}\n`);
    }
  }, 1_800_000);

  test('any ids decode as in Rust, broken UTF-8 included', async () => {
    const random = randomNumbers(SEED + 1);
    for (let index = 0; index < Math.ceil(COUNT / 10); index++) {
      const ids = Array.from({ length: 1 + Math.floor(random() * 12) }, () =>
        Math.floor(random() * (random() < 0.5 ? 256 : limit)),
      );
      expect(tokenizer.decode(ids)).toBe(await rust.decode(ids, false));
      expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe(await rust.decode(ids, true));
    }
  }, 600_000);
});
