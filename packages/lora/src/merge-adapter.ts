import { QLoraError } from '@qlorajs/errors';
import { dropsHeadBias } from './head-bias.js';
import { type LoraMatrices, mergeDora, mergeLora, mergeTokenRows, unmergeLora } from './merge.js';
import type { PeftAdapterFiles } from './peft-files.js';
import { rankAndScaling } from './targets.js';

const PREFIX = 'base_model.model.';
const ROWS = '.token_adapter.trainable_tokens_delta';

/** The update of the module that a weight belongs to, if the adapter has one. */
export function updateOf(files: PeftAdapterFiles, module: string): LoraMatrices | null {
  const a = files.tensors.get(`${PREFIX}${module}.lora_A.weight`);
  const b = files.tensors.get(`${PREFIX}${module}.lora_B.weight`);
  if (!a || !b) return null;
  return { a: a.values, b: b.values, ...rankAndScaling(files.config, module) };
}

function rowsOf(files: PeftAdapterFiles, module: string) {
  const rows = files.tensors.get(`${PREFIX}${module}${ROWS}`);
  if (!rows) return null;
  const indices = files.config.trainableTokenIndices ?? [];
  const ids = Array.isArray(indices)
    ? indices
    : Object.entries(indices).find(([name]) => module.endsWith(name))?.[1];
  return ids === undefined ? null : { ids, values: rows.values };
}

/** A whole tensor that the adapter trained in the base's place (`modules_to_save`). */
function savedTensor(files: PeftAdapterFiles, name: string): Float32Array | null {
  return files.config.modulesToSave === null
    ? null
    : (files.tensors.get(`${PREFIX}${name}`)?.values ?? null);
}

/**
 * Refuses adapters that cannot be taken out of a merged model again.
 * @throws QLoraError `LORA_MERGE`
 */
export function checkUnmerge(files: PeftAdapterFiles): void {
  const replaced = [...files.tensors.keys()].filter((key) => !/\.lora_[AB]\.weight$/.test(key));
  if (replaced.length === 0) return;
  throw new QLoraError(
    'LORA_MERGE',
    `${files.name}: merging it replaces values of the base (${replaced[0]}), which a merged model no longer has; unmerging needs the original base`,
    { details: { keys: replaced } },
  );
}

/**
 * Merges an adapter into one tensor of the base, in place: W += scaling * B A (DoRA: its rows scaled to
 * their magnitudes), trained token rows over the table's, modules that were trained whole in their
 * place. A head that PEFT computes without its bias (see `dropsHeadBias`) gets a bias
 * of zeros, so that the merged model answers as the adapter does.
 *
 * @param name of the base's tensor: `model.layers.0.self_attn.q_proj.weight`
 * @param values f32, `[out, in]`
 * @returns whether the adapter changes this tensor
 */
export function mergeAdapter(
  files: PeftAdapterFiles,
  name: string,
  values: Float32Array,
  direction: 'merge' | 'unmerge' = 'merge',
): boolean {
  if (name === 'lm_head.bias' && direction === 'merge' && dropsHeadBias(files.config)) {
    values.fill(0);
    return true;
  }
  const saved = savedTensor(files, name);
  if (saved) {
    values.set(saved);
    return true;
  }
  if (!name.endsWith('.weight')) return false;
  const module = name.slice(0, -'.weight'.length);
  const update = updateOf(files, module);
  const magnitude = files.tensors.get(`${PREFIX}${module}.lora_magnitude_vector`)?.values;
  if (update && magnitude) mergeDora(values, { ...update, magnitude });
  else if (update) (direction === 'merge' ? mergeLora : unmergeLora)(values, update);
  const rows = direction === 'merge' ? rowsOf(files, module) : null;
  if (rows) mergeTokenRows(values, rows.ids, rows.values);
  return update !== null || rows !== null;
}
