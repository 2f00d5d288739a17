import type { AttentionMask, Tensor } from '@qlorajs/compute';
import { type Binding, read } from '../../device/kernel.js';

/** Four threads share a row of a tile; each owns every fourth group of four head dimensions. */
export const LANES = 4;

/** What the text of an attention kernel depends on. */
export interface AttentionShape {
  readonly headDim: number;
  /** Rows of a tile of queries and of keys. */
  readonly tile: number;
  readonly hasStart: boolean;
  readonly hasFirst: boolean;
}

export function shapeKey({ headDim, tile, hasStart, hasFirst }: AttentionShape): string {
  return `${headDim} ${tile}${hasStart ? ' start' : ''}${hasFirst ? ' first' : ''}`;
}

/** Groups of four that a head takes, padded so that the lanes have equally many. */
export function vectorsOf(headDim: number): number {
  return Math.ceil(headDim / (4 * LANES)) * LANES;
}

/** A row of a staged tile, in groups of four: one more, against bank conflicts. */
export function strideOf(headDim: number): number {
  return vectorsOf(headDim) + 1;
}

/** The largest tile for which `staged` tiles of rows and `square` tiles of scores fit. */
export function tileFor(bytes: number, headDim: number, staged: number, square: number): number {
  const fits = (tile: number) =>
    staged * tile * strideOf(headDim) * 16 + square * tile * (tile + 1) * 4 <= bytes;
  return [32, 16, 8].find(fits) ?? 4;
}

export const MASK_PARAMS = {
  queryLength: 'u32',
  keyLength: 'u32',
  heads: 'u32',
  scale: 'f32',
} as const;

export function maskParams(mask: AttentionMask): Record<keyof typeof MASK_PARAMS, number> {
  const { queryLength, keyLength, heads, scale } = mask;
  return { queryLength, keyLength, heads, scale };
}

export function maskBindings({ hasStart, hasFirst }: AttentionShape): Record<string, Binding> {
  return {
    keyLengths: read('i32'),
    ...(hasStart ? { queryStart: read('i32') } : {}),
    ...(hasFirst ? { firstKeys: read('i32') } : {}),
  };
}

export function maskTensors(mask: AttentionMask): Record<string, Tensor> {
  const { keyLengths, queryStart, firstKeys } = mask;
  return {
    keyLengths,
    ...(queryStart ? { queryStart } : {}),
    ...(firstKeys ? { firstKeys } : {}),
  };
}

/** `endOf(batch, query)` and `firstOf(batch, query)`: the keys [first, end) that a query sees. */
export function maskFunctions({ hasStart, hasFirst }: AttentionShape): string {
  const start = hasStart ? 'queryStart[p.queryStartAt + batch]' : '0';
  const first = hasFirst ? 'firstKeys[p.firstKeysAt + batch * p.queryLength + query]' : '0';
  return /* wgsl */ `
fn endOf(batch: u32, query: u32) -> u32 {
  return u32(max(0, min(${start} + i32(query) + 1, keyLengths[p.keyLengthsAt + batch])));
}
fn firstOf(batch: u32, query: u32) -> u32 {
  return u32(max(0, ${first}));
}`;
}

/**
 * Fills rows of `to` (groups of four, zero beyond the head and beyond `limit` rows) from the head's
 * part of rows `from + r` of a `[rows, heads * headDim]` array.
 */
export function stage(shape: AttentionShape, name: string, to: string, limit: string): string {
  const { headDim, tile } = shape;
  const element = (c: number) =>
    headDim % 4 === 0 || c === 0
      ? `${name}[at + ${c}u]`
      : `select(0.0, ${name}[min(at + ${c}u, at + ${headDim - 1}u - d)], d + ${c}u < ${headDim}u)`;
  const vectors = vectorsOf(headDim);
  return /* wgsl */ `
fn stage_${name}(first: u32, batch: u32, head: u32, local: u32) {
  for (var e = local; e < ${tile * vectors}u; e += ${tile * LANES}u) {
    let r = e / ${vectors}u;
    let d = (e % ${vectors}u) * 4u;
    var value = vec4f();
    if (first + r < ${limit} && d < ${headDim}u) {
      let at = p.${name}At + ((batch * ${limit} + first + r) * p.heads + head) * ${headDim}u + d;
      value = vec4f(${[0, 1, 2, 3].map(element).join(', ')});
    }
    ${to}[r * ${strideOf(headDim)}u + e % ${vectors}u] = value;
  }
}`;
}

/** Writes the groups of four that a lane holds in `values` to a row of `name`. */
export function unstage(shape: AttentionShape, name: string, values: string, row: string): string {
  const { headDim } = shape;
  const parts = vectorsOf(headDim) / LANES;
  return /* wgsl */ `
    let base = p.${name}At + (${row} * p.heads + head) * ${headDim}u;
    for (var i = 0u; i < ${parts}u; i++) {
      for (var c = 0u; c < 4u; c++) {
        let d = (i * ${LANES}u + lane) * 4u + c;
        if (d < ${headDim}u) { ${name}[base + d] = ${values}[i][c]; }
      }
    }`;
}

/** Dot products of a row of one staged tile with the tile's rows `lane`, `lane + 4`, … of another. */
export function dots(shape: AttentionShape, left: string, right: string, result: string): string {
  const { headDim, tile } = shape;
  const stride = strideOf(headDim);
  return /* wgsl */ `
    var ${result} = array<f32, ${tile / LANES}>();
    for (var d = 0u; d < ${vectorsOf(headDim)}u; d++) {
      let own = ${left}[row * ${stride}u + d];
      for (var i = 0u; i < ${tile / LANES}u; i++) {
        ${result}[i] += dot(own, ${right}[(i * ${LANES}u + lane) * ${stride}u + d]);
      }
    }`;
}
