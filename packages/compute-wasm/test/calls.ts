// Calls of the operations that are cut into tiles and shared by threads, of any size.
import type { Backend } from '@qlorajs/compute';
import type { OpCase } from '@qlorajs/compute/testing';
import { Inputs, type WeightKind } from './random.js';

async function collect(
  backend: Backend,
  inputs: Inputs,
  outputs: Record<string, Parameters<Backend['read']>[0]>,
): Promise<Record<string, Float32Array>> {
  const values: Record<string, Float32Array> = {};
  for (const [name, tensor] of Object.entries(outputs)) values[name] = await backend.read(tensor);
  inputs.freeAll();
  return values;
}

export interface LinearCall {
  readonly kind: WeightKind;
  readonly blockSize: number;
  readonly rows: number;
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly accumulate: boolean;
}

export function linearCall(call: LinearCall): OpCase {
  const { kind, blockSize, rows, inFeatures, outFeatures, accumulate } = call;
  return {
    op: 'linear',
    name: `linear ${JSON.stringify(call)}`,
    async run(backend) {
      const inputs = new Inputs(backend, rows);
      const x = inputs.floats([rows, inFeatures]);
      const weight = inputs.weight(kind, [outFeatures, inFeatures], blockSize);
      const bias = accumulate ? null : inputs.floats([outFeatures]);
      const out = inputs.floats([rows, outFeatures]);
      backend.ops.linear({ x, weight, bias, out, accumulate });
      return collect(backend, inputs, { out });
    },
  };
}

export function linearBackwardCall(call: LinearCall): OpCase {
  const { kind, blockSize, rows, inFeatures, outFeatures, accumulate } = call;
  return {
    op: 'linearBackward',
    name: `linearBackward ${JSON.stringify(call)}`,
    async run(backend) {
      const inputs = new Inputs(backend, rows);
      const dOut = inputs.floats([rows, outFeatures]);
      const weight = inputs.weight(kind, [outFeatures, inFeatures], blockSize);
      const dX = inputs.floats([rows, inFeatures]);
      backend.ops.linearBackward({ dOut, weight, dX, accumulate });
      return collect(backend, inputs, { dX });
    },
  };
}

export interface MatmulCall {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly beta: number;
}

export function matmulCall(call: MatmulCall): OpCase {
  const { m, n, k } = call;
  return {
    op: 'matmul',
    name: `matmul ${JSON.stringify(call)}`,
    async run(backend) {
      const inputs = new Inputs(backend, m);
      const [a, b] = [inputs.floats([m, k]), inputs.floats([k, n])];
      const out = inputs.floats([m, n]);
      backend.ops.matmul({ ...call, a, b, out, alpha: 0.75 });
      return collect(backend, inputs, { out });
    },
  };
}

export interface AttentionCall {
  readonly lengths: readonly number[];
  readonly heads: number;
  readonly headDim: number;
  readonly queryLength: number;
  /** Length of a document in a packed row; 0 for rows of one document. */
  readonly document: number;
}

function attentionInputs(backend: Backend, call: AttentionCall) {
  const { lengths, heads, headDim, queryLength } = call;
  const inputs = new Inputs(backend, queryLength);
  const batch = lengths.length;
  const keyLength = Math.max(...lengths, queryLength);
  const width = heads * headDim;
  const training = queryLength === keyLength;
  const firsts = lengths.flatMap(() =>
    Array.from({ length: queryLength }, (_, i) => i - (i % Math.max(1, call.document))),
  );
  const mask = {
    ...{ batch, queryLength, keyLength, heads, headDim, scale: headDim ** -0.5 },
    keyLengths: inputs.integers(lengths),
    queryStart: training
      ? null
      : inputs.integers(lengths.map((length) => Math.max(0, length - queryLength))),
    firstKeys: training && call.document > 0 ? inputs.integers(firsts) : null,
  };
  const q = inputs.floats([batch, queryLength, width]);
  const k = inputs.floats([batch, keyLength, width]);
  const v = inputs.floats([batch, keyLength, width]);
  const out = inputs.floats([batch, queryLength, width]);
  const logSumExp = inputs.floats([batch, heads, queryLength]);
  return { inputs, args: { ...mask, q, k, v, out, logSumExp } };
}

export function attentionCall(call: AttentionCall): OpCase {
  return {
    op: 'attention',
    name: `attention ${JSON.stringify(call)}`,
    async run(backend) {
      const { inputs, args } = attentionInputs(backend, call);
      backend.ops.attention(args);
      return collect(backend, inputs, { out: args.out, logSumExp: args.logSumExp });
    },
  };
}

/** Needs queryLength = the longest of `lengths`. */
export function attentionBackwardCall(call: AttentionCall): OpCase {
  return {
    op: 'attentionBackward',
    name: `attentionBackward ${JSON.stringify(call)}`,
    async run(backend) {
      const { inputs, args } = attentionInputs(backend, call);
      const delta = inputs.floats(args.logSumExp.shape);
      const [dOut, dQ, dK, dV] = [1, 2, 3, 4].map(() => inputs.floats(args.q.shape));
      backend.ops.attention(args);
      backend.ops.attentionBackward({ ...args, dOut, delta, dQ, dK, dV });
      return collect(backend, inputs, { dQ, dK, dV });
    },
  };
}
