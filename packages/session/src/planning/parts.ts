/** What a buffer is part of, by its label; the first that matches counts. */
const PARTS: readonly (readonly [string, RegExp])[] = [
  ['codes', /\.codes$/],
  ['scales', /\.(absmax|nested_absmax|nested_quant_map)$/],
  ['embedding', /^model\.embed_tokens\.weight$/],
  ['head', /^lm_head\.(weight|bias)$/],
  ['states', /\.moments$|^(sum of squared gradients|clip scale|code maps of the moments)$/],
  ['gradients', /^gradients$|\.grad$/],
  ['adapter', /^adapter$|^base_model\.|^(embed_tokens|lm_head)\.(ids|base)$/],
  ['base_pages', /^block \d+$/],
  ['checkpoints', /^hidden\.\d+$|^input of block \d+$/],
  ['activations', /^block\.\d+\./],
  ['logits', /^(head|logits)\.(logits|out)$/],
  ['base_other', /^model\./],
  ['scratch', /^scratch\./],
];

/** Bytes of every part, from bytes by label; the buffers of a block's own pass are its `workspace`. */
export function partsOf(byLabel: ReadonlyMap<string, number>): Record<string, number> {
  const parts: Record<string, number> = {};
  for (const [label, bytes] of byLabel) {
    const part = PARTS.find(([, pattern]) => pattern.test(label))?.[0] ?? 'workspace';
    parts[part] = (parts[part] ?? 0) + bytes;
  }
  return Object.fromEntries(Object.entries(parts).sort(([, a], [, b]) => b - a));
}
