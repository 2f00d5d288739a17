import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * A Phi of 2 layers and 64 channels with an adapter and ten AdamW steps on it, made by transformers
 * and peft: see packages/phi2-model/fixtures/PROVENANCE.md. It has no tokenizer files.
 */
export const tiny = fileURLToPath(
  new URL('../../../../packages/phi2-model/fixtures/hf-phi/dev-a', import.meta.url),
);
export const tinyBase = join(tiny, 'base');

/** What transformers and peft computed on {@link tiny}. */
export const expected = JSON.parse(readFileSync(join(tiny, 'expected.json'), 'utf8')) as {
  readonly input_ids: number[][];
  readonly attention_mask: number[][];
  readonly labels: number[][];
  readonly base_loss: number;
  readonly trajectory: { loss: number; grad_norm: number; learning_rate: number }[];
};

/** Pre-tokenized rows of {@link expected}, without their padding. */
export function writeTokenRows(file: string): string {
  const rows = expected.input_ids.map((ids, i) => {
    const length = expected.attention_mask[i].filter((bit) => bit === 1).length;
    return { input_ids: ids.slice(0, length), labels: expected.labels[i].slice(0, length) };
  });
  writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return file;
}

/** A copy of {@link tinyBase} to spoil. */
export function copyBase(folder: string): string {
  cpSync(tinyBase, folder, { recursive: true });
  return folder;
}

/** Changes keys of a copied base's config.json. */
export function editConfig(folder: string, change: Record<string, unknown>): void {
  const file = join(folder, 'config.json');
  const config = JSON.parse(readFileSync(file, 'utf8'));
  writeFileSync(file, JSON.stringify({ ...config, ...change }));
}
