import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { counterKey, counterNormal } from '@qlorajs/compute';
import { isQLoraError } from '@qlorajs/errors';
import { phiNano } from '@qlorajs/phi-nano';
import { parsePhiConfig, phiTensors } from '@qlorajs/phi2-model';
import { writeSafetensors } from '@qlorajs/safetensors';
import { trainingOptions } from '@qlorajs/session';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { resolveOptions } from '../src/options/resolve.js';
import { tinyBase } from './support/bases.js';
import { trainHere } from './support/in-process.js';
import { temporaryFolder } from './support/qlora.js';

/** 50,000 with `npm run test:fuzz`. */
const CASES = Number(process.env.QLORAJS_FUZZ_CASES ?? 500);
/** What is not done by then is left out, and the count says so. */
const SECONDS = Number(process.env.QLORAJS_FUZZ_SECONDS ?? 7200);

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);

/** A Phi of one layer with 16 channels on phi-nano's vocabulary, so that texts can be trained on. */
function textBase(): string {
  const base = at('text-base');
  mkdirSync(base);
  const source = fileURLToPath(phiNano.folder);
  for (const name of readdirSync(source).filter((each) => /token|vocab|merges/.test(each)))
    cpSync(join(source, name), join(base, name));
  const json = {
    ...{ model_type: 'phi', vocab_size: 8256, hidden_size: 16, intermediate_size: 32 },
    ...{ num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 64 },
    partial_rotary_factor: 0.5,
  };
  writeFileSync(join(base, 'config.json'), JSON.stringify(json));
  const tensors = [...phiTensors(parsePhiConfig(json))].map(([name, shape], i) => {
    const key = counterKey(5, i);
    const data = Float32Array.from(
      { length: shape.reduce((a, b) => a * b, 1) },
      (_, j) => 0.1 * counterNormal(key, j),
    );
    return [name, { dtype: 'F32' as const, shape, data }] as const;
  });
  writeFileSync(
    join(base, 'model.safetensors'),
    writeSafetensors(Object.fromEntries(tensors), { format: 'pt' }),
  );
  return base;
}

const text = fc.oneof(
  { weight: 4, arbitrary: fc.string({ maxLength: 12 }) },
  { weight: 1, arbitrary: fc.string({ unit: 'grapheme', maxLength: 8 }) },
  { weight: 1, arbitrary: fc.constantFrom('', ' ', '<|end|>', '{% raw %}', '\u0000', '¿Qué?') },
);
const junk = fc.oneof(
  fc.constant(null),
  fc.integer(),
  fc.double(),
  fc.boolean(),
  text,
  fc.constant([]),
  fc.constant({}),
);
const or = <T>(arbitrary: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 12, arbitrary }, { weight: 1, arbitrary: junk as fc.Arbitrary<unknown> });

const message = fc.record({
  role: or(fc.constantFrom('system', 'user', 'assistant')),
  content: or(text),
});
const tokens = fc.array(fc.integer({ min: 0, max: 205 }), { minLength: 1, maxLength: 12 });
const tokensRow = fc.oneof(
  { weight: 8, arbitrary: tokens.map((ids) => ({ input_ids: ids, labels: ids })) },
  { weight: 1, arbitrary: fc.record({ input_ids: or(tokens), labels: or(tokens) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      input_ids: fc.array(fc.integer({ min: -3, max: 9000 })),
      labels: fc.array(fc.integer({ min: -101, max: 9000 })),
    }),
  },
);
const textRow = fc.oneof(
  fc.record({ messages: or(fc.array(message, { maxLength: 4 })) }),
  text.chain((user) =>
    text.map((answer) => ({
      messages: [
        { role: 'user', content: `${user}?` },
        { role: 'assistant', content: `${answer}.` },
      ],
    })),
  ),
  fc.record({ prompt: or(text), completion: or(text) }),
  fc.record({ text: or(text) }),
  fc.record({ instruction: or(text), input: or(text), output: or(text) }),
  fc.record({
    conversations: fc.array(
      fc.record({ from: or(fc.constantFrom('human', 'gpt', 'system')), value: or(text) }),
      { maxLength: 3 },
    ),
  }),
);
const line = (row: fc.Arbitrary<unknown>) =>
  fc.oneof(
    { weight: 30, arbitrary: row.map((each) => JSON.stringify(each)) },
    { weight: 1, arbitrary: row.map((each) => JSON.stringify(each).slice(0, -1)) },
    {
      weight: 1,
      arbitrary: fc.constantFrom('', '[]', 'null', '{', '\ufeff{}', '{"text":"a"} {"text":"b"}'),
    },
    { weight: 1, arbitrary: junk.map((each) => JSON.stringify(each)) },
  );
const file = (row: fc.Arbitrary<unknown>) =>
  fc
    .oneof(
      {
        weight: 20,
        arbitrary: fc.array(
          row.map((each) => JSON.stringify(each)),
          { minLength: 1, maxLength: 5 },
        ),
      },
      { weight: 5, arbitrary: fc.array(line(row), { maxLength: 5 }) },
    )
    .chain((lines) => fc.constantFrom('\n', '\r\n').map((end) => lines.join(end)));

const small = fc.integer({ min: 0, max: 4 });
const rate = fc.oneof(
  fc.double({ min: 0, max: 0.1, noNaN: true }),
  fc.constantFrom(0, 1e-5, 2e-4, 1e30),
);
/** Values of options that mostly make sense; whatever a file of options could hold, now and then. */
const VALUES: Record<string, fc.Arbitrary<unknown>> = {
  r: fc.integer({ min: 1, max: 8 }),
  lora_alpha: fc.oneof(small, fc.double({ noNaN: true })),
  lora_dropout: fc.double({ min: 0, max: 0.99, noNaN: true }),
  target_modules: fc.oneof(
    fc.constantFrom(
      'all-linear',
      '.*_proj',
      'q_proj,fc1',
      '(',
      '.*',
      'nothing',
      'model.layers.0.mlp.fc2',
    ),
    fc.subarray(['q_proj', 'k_proj', 'v_proj', 'dense', 'fc1', 'fc2', 'lm_head', 'x']),
  ),
  rank_pattern: fc.constantFrom('fc1=2', 'q_proj=1,fc2=3', 'x', '(=2', 'fc1=1.5'),
  alpha_pattern: fc.constantFrom('fc1=2', 'q_proj=1.5', '=', 'a=b'),
  use_rslora: fc.boolean(),
  use_dora: fc.boolean(),
  modules_to_save: fc.constantFrom(
    'lm_head',
    'embed_tokens,lm_head',
    'final_layernorm',
    'input_layernorm',
    'fc1',
    'x',
  ),
  train_added_tokens: fc.boolean(),
  chat_template: fc.constantFrom('tutor', 'base', 'no-such-file'),
  max_seq_length: fc.integer({ min: 2, max: 140 }),
  truncation: fc.constantFrom('error', 'drop', 'truncate'),
  packing: fc.boolean(),
  train_on: fc.constantFrom('assistant', 'all'),
  shuffle: fc.boolean(),
  group_by_length: fc.boolean(),
  eval_split: fc.oneof(
    fc.double({ min: 0, max: 0.9, noNaN: true }),
    fc.integer({ min: 0, max: 6 }),
  ),
  learning_rate: rate,
  loraplus_lr_ratio: fc.oneof(fc.integer({ min: 1, max: 32 }), fc.double({ noNaN: true })),
  lr_scheduler_type: fc.constantFrom(
    'linear',
    'cosine',
    'constant',
    'constant_with_warmup',
    'warmup_stable_decay',
    'wsd',
    'polynomial',
  ),
  num_decay_steps: small,
  decay_type: fc.constantFrom('cosine', 'linear', '1-sqrt'),
  min_lr_ratio: fc.double({ min: 0, max: 1, noNaN: true }),
  warmup_steps: small,
  warmup_ratio: fc.double({ min: 0, max: 1, noNaN: true }),
  per_device_train_batch_size: fc.integer({ min: 1, max: 3 }),
  gradient_accumulation_steps: fc.integer({ min: 1, max: 3 }),
  max_grad_norm: fc.double({ min: 0, max: 10, noNaN: true }),
  weight_decay: fc.double({ min: 0, max: 1, noNaN: true }),
  adam_beta1: fc.double({ min: 0, max: 1, noNaN: true }),
  adam_beta2: fc.double({ min: 0, max: 1, noNaN: true }),
  adam_epsilon: fc.double({ min: 0, max: 1, noNaN: true }),
  gradient_checkpointing: fc.boolean(),
  neftune_noise_alpha: fc.double({ min: 0, max: 20, noNaN: true }),
  seed: fc.nat(),
  logging_steps: fc.integer({ min: 1, max: 3 }),
  eval_steps: small,
  early_stopping_patience: small,
  load_best_model_at_end: fc.boolean(),
  save_steps: small,
  save_total_limit: fc.integer({ min: 1, max: 2 }),
  max_skipped_steps: fc.integer({ min: 1, max: 3 }),
  report_to: fc.constantFrom('none', 'tensorboard', 'jsonl'),
  load_in_4bit: fc.boolean(),
  bnb_4bit_use_double_quant: fc.boolean(),
};
const config = fc
  .subarray(Object.keys(VALUES), { maxLength: 9 })
  .chain((keys) => fc.tuple(...keys.map((key) => fc.tuple(fc.constant(key), or(VALUES[key])))))
  .map((entries) => new Map<string, unknown>(entries));

test(`${CASES} configurations and datasets give a result or one clear error`, async () => {
  const bases = { text: textBase(), tokens: tinyBase };
  const [data, out] = [at('rows.jsonl'), at('out')];
  const codes = new Map<string, number>();
  const count = (code: string) => codes.set(code, (codes.get(code) ?? 0) + 1);
  const cases = fc.oneof(
    { weight: 3, arbitrary: file(tokensRow).map((content) => ({ base: bases.tokens, content })) },
    { weight: 1, arbitrary: file(textRow).map((content) => ({ base: bases.text, content })) },
  );
  await fc.assert(
    fc.asyncProperty(
      cases,
      config,
      fc.integer({ min: 1, max: 2 }),
      async ({ base, content }, given, steps) => {
        writeFileSync(data, content);
        rmSync(out, { recursive: true, force: true });
        // Flags win over a file of options: here what no case may change.
        const fixed = { base, data, out, max_steps: steps, threads: 1 };
        const values = new Map([...given, ...Object.entries(fixed)]);
        try {
          const resolved = await resolveOptions(trainingOptions, values, undefined);
          await trainHere(resolved);
          count('trained');
          for (const name of [
            'adapter_config.json',
            'adapter_model.safetensors',
            'trainer_state.json',
          ])
            expect(existsSync(join(out, name)), name).toBe(true);
        } catch (error) {
          if (!isQLoraError(error)) throw error;
          count(error.code);
          expect(error.message.length).toBeGreaterThan(10);
          // The numbers of a run may overflow; everything else is a mistake of the input.
          if (error.code !== 'TRAINER_DIVERGED') {
            expect(error.kind, error.message).toBe('input');
            expect(existsSync(out), error.message).toBe(false);
          }
        }
      },
    ),
    { numRuns: CASES, endOnFailure: CASES > 1000, interruptAfterTimeLimit: SECONDS * 1000 },
  );
  console.log(
    [...codes]
      .sort((a, b) => b[1] - a[1])
      .map(([code, n]) => `${n} ${code}`)
      .join(', '),
  );
  const done = [...codes.values()].reduce((sum, each) => sum + each, 0);
  console.log(`${done} of ${CASES} cases`);
  expect(codes.get('trained')).toBeGreaterThan(done / 10);
  expect(dirname(out)).toBe(folder);
}, 7_200_000);
