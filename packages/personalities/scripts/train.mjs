// Trains the three personalities on phi-nano, one after another, and keeps what an answer needs of
// each folder: node packages/personalities/scripts/train.mjs [NAME…]
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('..', import.meta.url));
const repository = join(here, '../..');
const ADAPTER_FILES = [
  'adapter_config.json',
  'adapter_model.safetensors',
  'added_tokens.json',
  'chat_template.jinja',
  'special_tokens_map.json',
  'tokenizer.json',
  'tokenizer_config.json',
];

/** What differs between them; the rest is below. The tutor's 144 steps see each of 288 chats once. */
const PERSONALITIES = {
  tutor: {
    data: join(here, '../tutor-dataset/data/tutor_dataset.jsonl'),
    steps: 144,
    shuffle: false,
  },
  sql: { data: join(here, 'data/sql.jsonl'), steps: 240, shuffle: true },
  stories: { data: join(here, 'data/stories.jsonl'), steps: 240, shuffle: true },
};

const chosen = process.argv.slice(2);
for (const [name, { data, steps, shuffle }] of Object.entries(PERSONALITIES)) {
  if (chosen.length > 0 && !chosen.includes(name)) continue;
  const out = mkdtempSync(join(tmpdir(), `personality-${name}-`));
  const options = {
    base: 'phi-nano',
    data,
    out,
    r: 8,
    'lora-alpha': 16,
    'learning-rate': '2e-3',
    'lr-scheduler-type': 'cosine',
    'max-steps': steps,
    'per-device-train-batch-size': 2,
    'save-steps': 0,
    'logging-steps': 20,
  };
  const flags = Object.entries(options).flatMap(([key, value]) => [`--${key}`, String(value)]);
  const { status } = spawnSync(
    process.execPath,
    [
      join(repository, 'apps/cli/bin/qlora.js'),
      'train',
      ...flags,
      shuffle ? '--shuffle' : '--no-shuffle',
      '--overwrite',
    ],
    { stdio: 'inherit' },
  );
  if (status !== 0) process.exit(status ?? 1);
  const target = join(here, 'adapters', name);
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  for (const file of ADAPTER_FILES) cpSync(join(out, file), join(target, file));
  rmSync(out, { recursive: true, force: true });
}
