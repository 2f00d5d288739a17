import type { Backend } from '../backend.js';
import type { Ops } from '../ops.js';
import { counterKey, counterNormal } from '../random.js';
import { createReferenceBackend } from '../reference/backend.js';
import { sizeOf, type Tensor } from '../tensor.js';
import { compareValues } from './compare.js';
import { OP_TOLERANCES } from './tolerances.js';

/** One call of one operation on seeded inputs; the same code runs on the reference and on a backend. */
export interface OpCase {
  readonly op: keyof Ops;
  readonly name: string;
  /** Makes the inputs, calls the operation and gives its outputs, named. */
  run(backend: Backend): Promise<Record<string, Float32Array>>;
}

/**
 * Runs a case on `backend` and on the reference and compares.
 * @returns a line for every output that is off, with the first five elements; empty when all is well.
 */
export async function checkCase(backend: Backend, opCase: OpCase): Promise<string[]> {
  const reference = createReferenceBackend();
  const expected = await opCase.run(reference);
  const actual = await opCase.run(backend);
  return Object.entries(expected).flatMap(([name, values]) => {
    const mismatches = compareValues(actual[name] ?? [], values, OP_TOLERANCES[opCase.op]);
    if (mismatches.length === 0) return [];
    const first = mismatches
      .slice(0, 5)
      .map((each) => `[${each.index}] ${each.actual} instead of ${each.expected}`);
    return [
      `${opCase.name}, ${backend.name}, ${name}: ${mismatches.length} of ${values.length} off: ${first.join('; ')}`,
    ];
  });
}

/** Seeded normal values, rounded to f32 so that every backend starts from the same numbers. */
export function randomValues(size: number, seed: number, scale = 1): Float32Array {
  const key = counterKey(seed, 7);
  return Float32Array.from({ length: size }, (_, i) => counterNormal(key, i) * scale);
}

/** An f32 tensor of seeded normal values. */
export function randomTensor(
  backend: Backend,
  shape: readonly number[],
  seed: number,
  scale = 1,
): Tensor {
  const tensor = backend.empty('f32', shape);
  backend.write(tensor, randomValues(sizeOf(shape), seed, scale));
  return tensor;
}

/** Reads the named tensors and frees every one in `all`. */
export async function readAndFree(
  backend: Backend,
  outputs: Readonly<Record<string, Tensor>>,
  all: readonly Tensor[],
): Promise<Record<string, Float32Array>> {
  const values: Record<string, Float32Array> = {};
  for (const [name, tensor] of Object.entries(outputs)) values[name] = await backend.read(tensor);
  for (const tensor of all) backend.free(tensor);
  return values;
}

/** The case with what the reference, which is slow, gives for it remembered: for suites of many engines. */
export function referenceOnce(opCase: OpCase): OpCase {
  let expected: ReturnType<OpCase['run']> | undefined;
  const run: OpCase['run'] = (backend) => {
    if (backend.name !== 'reference') return opCase.run(backend);
    expected ??= opCase.run(backend);
    return expected;
  };
  return { ...opCase, run };
}
