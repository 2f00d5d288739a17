import { expectTensor, type LinearWeight, type Nf4Weight } from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';
import type { Engine } from '../engine/engine.js';
import { at } from './context.js';

/** Where the description of a weight stands among a kernel's integers and floats; see assembly/nf4.ts. */
const WEIGHT = 24;
const WEIGHT_FLOAT = 12;

const KIND = { f32: 0, f16: 1, nf4: 2 } as const;

/** The integers and floats of a kernel, followed by the description of the weight that it reads. */
export function withWeight(
  engine: Engine,
  op: string,
  weight: LinearWeight,
  integers: readonly number[],
  floats: readonly number[],
): { integers: number[]; floats: number[] } {
  const described = weight.kind === 'nf4' ? nf4(engine, op, weight) : dense(engine, op, weight);
  return {
    integers: [...padded(integers, WEIGHT), ...described],
    floats: [...padded(floats, WEIGHT_FLOAT), offsetOf(weight)],
  };
}

function padded(values: readonly number[], length: number): number[] {
  return [...values, ...Array<number>(length - values.length).fill(0)];
}

function offsetOf(weight: LinearWeight): number {
  return weight.kind === 'nf4' && weight.scales.kind === 'double' ? weight.scales.offset : 0;
}

function dense(engine: Engine, op: string, weight: LinearWeight & { kind: 'dense' }): number[] {
  const { values, shape } = weight;
  expectTensor(op, 'weight', values, values.dtype === 'f16' ? 'f16' : 'f32', shape[0] * shape[1]);
  return [values.dtype === 'f16' ? KIND.f16 : KIND.f32, at(engine, values)];
}

function nf4(engine: Engine, op: string, weight: Nf4Weight): number[] {
  const { shape, blockSize, codes, scales } = weight;
  const size = shape[0] * shape[1];
  const blocks = Math.ceil(size / blockSize);
  if (!(Number.isInteger(blockSize) && blockSize > 0 && blockSize % 2 === 0))
    throw new QLoraError('COMPUTE_SHAPE', `${op}: blockSize ${blockSize} is not an even integer`, {
      kind: 'runtime',
      details: { op, blockSize },
    });
  expectTensor(op, 'weight.codes', codes, 'u8', Math.ceil(size / 2));
  const start = [KIND.nf4, at(engine, codes), blockSize];
  if (scales.kind === 'plain') {
    expectTensor(op, 'weight.scales.absmax', scales.absmax, 'f32', blocks);
    return [...start, 0, at(engine, scales.absmax)];
  }
  const nested = Math.ceil(blocks / scales.blockSize);
  expectTensor(op, 'weight.scales.codes', scales.codes, 'u8', blocks);
  expectTensor(op, 'weight.scales.absmax', scales.absmax, 'f32', nested);
  expectTensor(op, 'weight.scales.codeMap', scales.codeMap, 'f32', 256);
  const tensors = [scales.absmax, scales.codes, scales.codeMap].map((each) => at(engine, each));
  return [...start, 1, ...tensors, scales.blockSize];
}
