import type { Parameter } from '@qlorajs/compute';
import { ADAM_BLOCK_SIZE } from './adam-state.js';
import { contiguous } from './contiguous.js';
import { bitsFor, type MomentBits, momentTensors, type Slot, type SlotPart } from './moments.js';
import type { AdamWOptions } from './options.js';
import type { Pager } from './pager.js';

/** Elements of a slot of several parameters at most: what a pager moves at a time stays small. */
const MOST = 2 ** 20;

/** What the elements of a slot have in common. */
interface Run {
  readonly parameters: Parameter[];
  readonly bits: MomentBits;
  readonly weightDecay: number;
  readonly rate: number;
  size: number;
}

/** Whether values and gradients of both lie side by side, the second after the first. */
function follow(last: Parameter, next: Parameter): boolean {
  return (
    contiguous([last.value, next.value]).length === 1 &&
    contiguous([last.grad, next.grad]).length === 1
  );
}

/**
 * Parameters whose values and gradients lie side by side become one slot, changed by one operation, as
 * far as they are treated alike; blocks of 8-bit moments must not reach over two of them.
 * @param joins false: each has a page of its own, so that little moves at a time
 */
export function slotsOf(
  parameters: readonly Parameter[],
  wanted: MomentBits,
  options: Omit<AdamWOptions, 'maxGradNorm'>,
  pager: Pager,
  joins: boolean,
): Slot[] {
  const { decays, rates, ...coefficients } = options;
  const runs: Run[] = [];
  for (const parameter of parameters) {
    const { size } = parameter.value;
    const bits = bitsFor(size, wanted);
    const weightDecay = decays(parameter.name) ? coefficients.weightDecay : 0;
    const rate = rates(parameter.name);
    const last = runs.at(-1);
    if (
      last !== undefined &&
      joins &&
      last.bits === bits &&
      last.weightDecay === weightDecay &&
      last.rate === rate &&
      last.size + size <= MOST &&
      (bits === '32bit' || last.size % ADAM_BLOCK_SIZE === 0) &&
      follow(last.parameters.at(-1)!, parameter)
    ) {
      last.parameters.push(parameter);
      last.size += size;
    } else runs.push({ parameters: [parameter], bits, weightDecay, rate, size });
  }
  return runs.map(({ parameters: members, bits, weightDecay, rate, size }) => {
    const [first] = members as [Parameter];
    let offset = 0;
    const parts = members.map(({ name, value }): SlotPart => {
      offset += value.size;
      return { name, offset: offset - value.size, size: value.size };
    });
    return {
      ...{ bits, rate, parts, decaysLast: wanted === '8bit' },
      value: { ...first.value, size, shape: [size] },
      grad: { ...first.grad, size, shape: [size] },
      page: pager.create(`${first.name}.moments`, momentTensors(size, bits)),
      coefficients: { ...coefficients, weightDecay },
    };
  });
}
