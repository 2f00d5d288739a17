import { QLoraError } from '@qlorajs/errors';
import type { LoraConfig } from './config.js';
import { type LowRank, truncatedProduct } from './low-rank.js';
import type { PeftAdapterFiles } from './peft-files.js';
import { rankAndScaling } from './targets.js';

/** PEFT's `combination_type`. */
export type CombinationType = 'linear' | 'svd' | 'cat';

/** How adapters are combined. */
export interface CombineOptions {
  /** One for each adapter; may be negative. */
  readonly weights: readonly number[];
  readonly type: CombinationType;
  /** Rank of the result of `svd`; default: the largest of the adapters'. */
  readonly svdRank?: number;
}

/** One adapter's update of one module, its weight and scaling in `factor`. */
interface Part extends LowRank {
  readonly factor: number;
}

const PREFIX = 'base_model.model.';
const [A, B] = ['.lora_A.weight', '.lora_B.weight'];

function refuse(message: string, details: Record<string, unknown> = {}): QLoraError {
  return new QLoraError('LORA_COMBINE', message, { details });
}

function modulesOf({ tensors }: PeftAdapterFiles): string[] {
  return [...tensors.keys()]
    .filter((key) => key.endsWith(A))
    .map((key) => key.slice(PREFIX.length, -A.length));
}

function partsOf(
  adapters: readonly PeftAdapterFiles[],
  weights: readonly number[],
  module: string,
): Part[] {
  return adapters.flatMap(({ config, tensors }, i) => {
    const a = tensors.get(`${PREFIX}${module}${A}`);
    const b = tensors.get(`${PREFIX}${module}${B}`);
    if (!a || !b) return [];
    const { scaling } = rankAndScaling(config, module);
    const [rank, columns] = a.shape;
    return [
      { a: a.values, b: b.values, rank, columns, rows: b.shape[0], factor: weights[i] * scaling },
    ];
  });
}

/** A and B are averaged apart, each with the root of the weight; a minus sign goes to A. */
function linear(parts: readonly Part[], rank: number, module: string): LowRank {
  const [{ rows, columns }] = parts;
  const unlike = parts.find((part) => part.rank !== rank);
  if (unlike)
    throw refuse(`linear: ${module} has rank ${unlike.rank} beside ${rank}; use svd or cat`);
  const a = new Float32Array(rank * columns);
  const b = new Float32Array(rows * rank);
  for (const part of parts) {
    const root = Math.sqrt(Math.abs(part.factor));
    for (let i = 0; i < a.length; i++) a[i] += Math.sign(part.factor) * root * part.a[i];
    for (let i = 0; i < b.length; i++) b[i] += root * part.b[i];
  }
  return { a, b, rank, rows, columns };
}

/** Ranks side by side: exact, and as large as all together. */
function cat(parts: readonly Part[], rank: number): LowRank {
  const [{ rows, columns }] = parts;
  const a = new Float32Array(rank * columns);
  const b = new Float32Array(rows * rank);
  let at = 0;
  for (const part of parts) {
    for (let i = 0; i < part.a.length; i++) a[at * columns + i] = part.factor * part.a[i];
    for (let row = 0; row < rows; row++)
      for (let k = 0; k < part.rank; k++) b[row * rank + at + k] = part.b[row * part.rank + k];
    at += part.rank;
  }
  return { a, b, rank, rows, columns };
}

function targets(configs: readonly LoraConfig[]): readonly string[] | string {
  const all = configs.map(({ targetModules }) => targetModules);
  if (all.every((each) => typeof each === 'string'))
    return all.map((each) => `(${each})`).join('|');
  if (all.some((each) => typeof each === 'string'))
    throw refuse(
      'target_modules must be lists in all adapters, or regular expressions in all of them',
    );
  return [...new Set(all.flat())];
}

function rankOf(configs: readonly LoraConfig[], { type, svdRank }: CombineOptions): number {
  const ranks = configs.map(({ r, rankPattern }) => Math.max(r, ...Object.values(rankPattern)));
  if (type === 'cat') return ranks.reduce((sum, rank) => sum + rank, 0);
  if (type === 'svd') return svdRank ?? Math.max(...ranks);
  if (new Set(ranks).size === 1) return ranks[0];
  throw refuse(`linear needs one rank in all adapters, got ${ranks.join(', ')}; use svd or cat`);
}

/** Trained token rows: their weighted mean, of ids that all adapters train. */
function tokenRows(
  adapters: readonly PeftAdapterFiles[],
  weights: readonly number[],
): [string, { shape: readonly number[]; values: Float32Array }][] {
  const [first] = adapters;
  const indices = adapters.map(({ config }) => JSON.stringify(config.trainableTokenIndices));
  if (new Set(indices).size > 1)
    throw refuse('the adapters train rows of different tokens; such adapters cannot be combined');
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return [...first.tensors]
    .filter(([key]) => !key.endsWith(A) && !key.endsWith(B))
    .map(([key, { shape, values }]) => {
      if (total === 0) throw refuse('trained token rows are averaged, and the weights add up to 0');
      const mean = new Float32Array(values.length);
      adapters.forEach(({ tensors }, i) => {
        const rows = tensors.get(key)!.values;
        for (let j = 0; j < mean.length; j++) mean[j] += (weights[i] / total) * rows[j];
      });
      return [key, { shape, values: mean }];
    });
}

/**
 * One adapter of several, as PEFT's `add_weighted_adapter` (0.21): `cat` is the exact weighted sum,
 * `svd` the nearest to it of a given rank, `linear` the cheap mean of As and Bs. Where PEFT keeps
 * `use_rslora` of the first adapter, which scales its result by the root of the rank, the result
 * here has scaling 1; trained token rows, which PEFT leaves at the base's, are averaged.
 *
 * @returns what `loadAdapter` takes; `name` joins the names of the parts
 * @throws QLoraError `LORA_COMBINE`
 * @example
 * ```ts
 * import { combineAdapters, defaultLoraConfig } from '@qlorajs/lora';
 *
 * const adapter = (name: string, value: number) => ({
 *   name,
 *   config: defaultLoraConfig({ r: 1, loraAlpha: 1, targetModules: ['q_proj'] }),
 *   warnings: [],
 *   tensors: new Map([
 *     ['base_model.model.q_proj.lora_A.weight', { shape: [1, 1], values: Float32Array.of(value) }],
 *     ['base_model.model.q_proj.lora_B.weight', { shape: [1, 1], values: Float32Array.of(1) }],
 *   ]),
 * });
 * const both = combineAdapters([adapter('x', 3), adapter('y', 5)], { weights: [1, 2], type: 'svd' });
 * const [a, b] = [...both.tensors.values()].map(({ values }) => values[0]);
 * console.log(Math.round(a * b)); // 13
 * ```
 */
export function combineAdapters(
  adapters: readonly PeftAdapterFiles[],
  options: CombineOptions,
): PeftAdapterFiles {
  const { weights, type } = options;
  if (adapters.length === 0 || adapters.length !== weights.length)
    throw refuse(`${adapters.length} adapters and ${weights.length} weights; give one for each`);
  const configs = adapters.map(({ config }) => config);
  const whole = adapters.find(({ config }) => config.useDora || config.modulesToSave !== null);
  if (whole)
    throw refuse(
      `${whole.name} has DoRA or modules_to_save, which do not add up; combine LoRA adapters without them`,
    );
  const rank = rankOf(configs, options);
  const tensors = new Map<string, { shape: readonly number[]; values: Float32Array }>();
  for (const module of new Set(adapters.flatMap(modulesOf))) {
    const parts = partsOf(adapters, weights, module);
    const { rows, columns } = parts[0];
    if (parts.some((part) => part.rows !== rows || part.columns !== columns))
      throw refuse(`${module} has unlike shapes; the adapters are of different bases`, { module });
    const combined =
      type === 'svd'
        ? truncatedProduct(
            cat(
              parts,
              parts.reduce((sum, part) => sum + part.rank, 0),
            ),
            rank,
          )
        : type === 'cat'
          ? cat(parts, rank)
          : linear(parts, rank, module);
    tensors.set(`${PREFIX}${module}${A}`, { shape: [rank, columns], values: combined.a });
    tensors.set(`${PREFIX}${module}${B}`, { shape: [rows, rank], values: combined.b });
  }
  for (const [key, rows] of tokenRows(adapters, weights)) tensors.set(key, rows);
  return {
    name: adapters.map(({ name }) => name).join(' + '),
    config: {
      ...configs[0],
      ...{ r: rank, loraAlpha: rank, useRslora: false, rankPattern: {}, alphaPattern: {} },
      targetModules: targets(configs),
    },
    warnings: [],
    tensors,
  };
}
