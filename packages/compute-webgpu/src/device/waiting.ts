/// <reference types="@webgpu/types" />
import { BYTES_PER_ELEMENT, type Tensor } from '@qlorajs/compute';
import { MOST_MERGED } from './kernel.js';
import type { Kernel, Program } from './pipelines.js';
import { type GpuStorage, storageOf } from './storage.js';

/** Bytes of a buffer that a dispatch reads or writes. */
interface Access {
  readonly storage: GpuStorage;
  readonly from: number;
  readonly to: number;
  readonly writes: boolean;
}

/** What a dispatch of a kernel accesses, with its tensors in the kernel's order. */
export function accessesOf({ writes }: Kernel, tensors: readonly Tensor[]): Access[] {
  return tensors.map((tensor, i) => {
    const unit = BYTES_PER_ELEMENT[tensor.dtype];
    const from = tensor.offset * unit;
    const to = from + Math.ceil(tensor.size * unit);
    return { storage: storageOf(tensor), from, to, writes: writes[i] };
  });
}

const collide = (a: Access, b: Access) =>
  (a.writes || b.writes) && a.storage === b.storage && a.from < b.to && b.from < a.to;

/**
 * A dispatch that was asked for and not yet issued, and those that joined it: of the same program on the
 * same buffers, and none of them touching what another writes.
 */
export class Waiting {
  readonly key: string;
  readonly program: Program;
  readonly group: GPUBindGroup;
  readonly x: number;
  readonly y: number;
  /** The first of its slots of parameters, which follow each other. */
  readonly slot: number;
  readonly #accesses: Access[];
  #count = 1;

  constructor(
    {
      key,
      program,
      group,
      x,
      y,
      slot,
    }: Pick<Waiting, 'key' | 'program' | 'group' | 'x' | 'y' | 'slot'>,
    accesses: Access[],
  ) {
    this.key = key;
    this.program = program;
    this.group = group;
    this.x = x;
    this.y = y;
    this.slot = slot;
    this.#accesses = accesses;
  }

  /** Dispatches that it stands for, and their slots. */
  get count(): number {
    return this.#count;
  }

  /** Lets a dispatch join; false where it cannot. */
  takes(
    other: Pick<Waiting, 'program' | 'group' | 'x' | 'y'>,
    accesses: readonly Access[],
  ): boolean {
    const alike =
      other.program === this.program &&
      other.group === this.group &&
      other.x === this.x &&
      other.y === this.y;
    if (!alike || this.#count === MOST_MERGED) return false;
    if (this.#accesses.some((mine) => accesses.some((its) => collide(mine, its)))) return false;
    this.#accesses.push(...accesses);
    this.#count++;
    return true;
  }
}
