import { expectTensor, type Tensor } from '../tensor.js';
import type { LinearWeight } from '../weight.js';

/** scaling * x A^T B^T, which an adapter adds to a linear layer. */
export interface LowRankUpdate {
  /** f32 `[rank, in]` */
  readonly a: Tensor;
  /** f32 `[out, rank]` */
  readonly b: Tensor;
  readonly rank: number;
  readonly scaling: number;
}

/** x W^T + bias, and the adapter's update where there is one. */
export interface AdaptedLinear {
  readonly weight: LinearWeight;
  /** f32 `[out]` */
  readonly bias: Tensor;
  readonly update: LowRankUpdate | null;
}

/** The linear layers of a Phi block: attention's, then the MLP's. */
export type DecodedLinear = 'q' | 'k' | 'v' | 'dense' | 'fc1' | 'fc2';

/**
 * One row through a Phi block, at the position after those that its cache holds:
 * ```
 * x = LayerNorm(h)
 * keys[position] = rotary(k(x));  values[position] = v(x)
 * out = h + dense(attention(rotary(q(x)), keys, values)) + fc2(gelu_new(fc1(x)))
 * ```
 */
export interface DecodeBlockArgs extends Readonly<Record<DecodedLinear, AdaptedLinear>> {
  /** f32 `[1, C]` */
  readonly h: Tensor;
  /** f32 `[1, C]`, not h. */
  readonly out: Tensor;
  readonly norm: { readonly weight: Tensor; readonly bias: Tensor };
  readonly epsilon: number;
  readonly heads: number;
  readonly headDim: number;
  readonly rotaryDim: number;
  /** f32 `[maxPositions, rotaryDim / 2]` */
  readonly cos: Tensor;
  /** f32 `[maxPositions, rotaryDim / 2]` */
  readonly sin: Tensor;
  /** i32 `[1]`: rows of the cache that were written before. */
  readonly position: Tensor;
  /** f32 `[capacity, C]`, of which row `position` is written. */
  readonly keys: Tensor;
  /** f32 `[capacity, C]`, of which row `position` is written. */
  readonly values: Tensor;
}

/** The likeliest token of a row of logits. */
export interface ChooseTokenArgs {
  /** f32 `[1, V]` */
  readonly logits: Tensor;
  /**
   * i32 `[V]`, 1 for tokens that the repetition penalty counts, to which the chosen one is added; null
   * without penalty.
   */
  readonly seen: Tensor | null;
  /** Positive logits of seen tokens are multiplied by f32(1 / penalty), others by f32(penalty). */
  readonly penalty: number;
  /** Ids from here on are not chosen. */
  readonly limit: number;
  /**
   * i32 `[1]`: the first of the largest. NaN is never larger, nor is anything larger than a NaN at 0,
   * as in a loop that begins there.
   */
  readonly id: Tensor;
  /** f32 `[2]`: the id again, and its log-probability before the penalty and among all of V. */
  readonly chosen: Tensor;
}

/**
 * What an engine may do in one go while decoding a single sequence, because single operations on a
 * single row would take it longer to start than to compute.
 */
export interface Decoding {
  /** @returns false where the engine has no kernels for this block: then nothing was done */
  block(args: DecodeBlockArgs): boolean;
  chooseToken(args: ChooseTokenArgs): void;
}

const LINEARS = ['q', 'k', 'v', 'dense', 'fc1', 'fc2'] as const;

export function checkDecodeBlock(args: DecodeBlockArgs): void {
  const { h, heads, headDim, keys } = args;
  const width = heads * headDim;
  const expect = (name: string, tensor: Tensor, size: number) =>
    expectTensor('decodeBlock', name, tensor, 'f32', size);
  expect('h', h, width);
  expect('out', args.out, width);
  expect('values', args.values, keys.size);
  expect('sin', args.sin, args.cos.size);
  expectTensor('decodeBlock', 'position', args.position, 'i32', 1);
  for (const name of LINEARS) {
    const { weight, bias, update } = args[name];
    const [out, from] = weight.shape;
    expect(`${name}.bias`, bias, out);
    if (!update) continue;
    expect(`${name}.a`, update.a, update.rank * from);
    expect(`${name}.b`, update.b, out * update.rank);
  }
}

export function checkChooseToken({ logits, seen, id, chosen }: ChooseTokenArgs): void {
  expectTensor('chooseToken', 'logits', logits, 'f32', logits.size);
  if (seen) expectTensor('chooseToken', 'seen', seen, 'i32', logits.size);
  expectTensor('chooseToken', 'id', id, 'i32', 1);
  expectTensor('chooseToken', 'chosen', chosen, 'f32', 2);
}
