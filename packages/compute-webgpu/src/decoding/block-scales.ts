import {
  type DecodeBlockArgs,
  type DecodedLinear,
  type Nf4Weight,
  type Tensor,
  weightTensors,
} from '@qlorajs/compute';
import type { QLoraError } from '@qlorajs/errors';
import { type KernelSpec, write } from '../device/kernel.js';
import { type GpuStorage, slice, storageOf } from '../device/storage.js';
import { type Engine, flatGroups } from '../engine.js';
import { Memo } from '../memo.js';
import { axpby } from '../ops/elementwise/elementwise.js';
import { eachElement, WIDTH } from '../wgsl/flat.js';
import * as weights from '../wgsl/weight.js';
import { READERS, SUMMED } from './suits.js';

const LINEARS = [...READERS, ...SUMMED] as const;

/** Where the scales and the bias of each layer begin. */
type Places = Readonly<Record<DecodedLinear, { readonly scales: number; readonly bias: number }>>;

/** The decoded scales and the biases of a block's linear layers, in one buffer. */
export interface BlockScales {
  readonly tensor: Tensor;
  readonly at: Places;
}

interface Kept extends BlockScales {
  readonly owner: Tensor;
  readonly contents: string;
  readonly storages: readonly GpuStorage[];
}

const kernels = new Memo<KernelSpec>();

function decodeKernel(weight: Nf4Weight): KernelSpec {
  const reader = weights.weightReader(weight);
  const key = `decoded scales ${reader.key}`;
  return kernels.get(key, () => ({
    key,
    bindings: { ...reader.bindings, out: write() },
    params: { ...reader.params, size: 'u32' },
    body: eachElement('  out[p.outAt + i] = scaleAt(i);', reader.declarations),
  }));
}

function placesOf(args: DecodeBlockArgs): { readonly at: Places; readonly size: number } {
  let size = 0;
  const take = (count: number) => {
    size += count;
    return size - count;
  };
  const at = Object.fromEntries(
    LINEARS.map((name) => {
      const [out, from] = args[name].weight.shape;
      const { blockSize } = args[name].weight as Nf4Weight;
      return [name, { scales: take((out * from) / blockSize), bias: take(out) }];
    }),
  ) as Places;
  return { at, size };
}

/**
 * Keeps {@link BlockScales}: a program that takes the four layers which read the same row in one
 * dispatch would otherwise be bound to more buffers than a GPU allows. They take 1/8 of the codes' bytes.
 */
export class ScalesOfBlocks {
  readonly #engine: Engine;
  readonly #kept = new Map<GpuStorage, Kept>();
  /** Memory ran short: until a tensor goes, blocks without scales are computed from operations. */
  #full = false;
  #making = false;

  constructor(engine: Engine) {
    this.#engine = engine;
    engine.memory.counter.onShortage(() => this.#giveBack());
  }

  /** Of a block whose weights are all NF4; null where there is no room for them. */
  of(args: DecodeBlockArgs): BlockScales | null {
    const tensors = LINEARS.flatMap((name) => [
      ...weightTensors(args[name].weight),
      args[name].bias,
    ]);
    const storages = tensors.map(storageOf);
    const contents = storages.map(({ id, version }) => `${id} ${version}`).join();
    const known = this.#kept.get(storages[0]);
    if (known?.contents === contents) return known;
    if (known) this.#drop(known);
    if (this.#full) return null;
    const { recorder } = this.#engine;
    // What is recorded here is not to be issued again.
    recorder.spoilTape();
    const { at, size } = placesOf(args);
    const owner = this.#allocate(size);
    if (!owner) return null;
    for (const name of LINEARS) {
      const { bias } = args[name];
      const weight = args[name].weight as Nf4Weight;
      const count = (weight.shape[0] * weight.shape[1]) / weight.blockSize;
      const out = slice(owner, at[name].scales, count);
      const inputs = { ...weights.weightTensors(weight), out };
      const params = { ...weights.weightParams(weight), size: count };
      const groups = flatGroups(Math.ceil(count / WIDTH));
      recorder.dispatch(decodeKernel(weight), inputs, params, groups);
      const to = slice(owner, at[name].bias, bias.size);
      axpby(this.#engine, { x: bias, out: to, alpha: 1, beta: 0 });
    }
    const kept = { tensor: owner, at, owner, contents, storages };
    this.#kept.set(storages[0], kept);
    return kept;
  }

  /** A tensor goes: what was made of it goes too. */
  release(tensor: Tensor): void {
    const storage = storageOf(tensor);
    this.#full = false;
    for (const kept of [...this.#kept.values()])
      if (kept.storages.includes(storage)) this.#drop(kept);
  }

  /** Lets others have the room, who cannot do without it. */
  #giveBack(): boolean {
    if (this.#making || this.#kept.size === 0) return false;
    this.#full = true;
    for (const kept of [...this.#kept.values()]) this.#drop(kept);
    return true;
  }

  #allocate(size: number): Tensor | null {
    this.#making = true;
    try {
      return this.#engine.memory.allocate('f32', [size], 'scales of a block');
    } catch (error) {
      if ((error as QLoraError).code !== 'COMPUTE_OUT_OF_MEMORY') throw error;
      this.#full = true;
      return null;
    } finally {
      this.#making = false;
    }
  }

  #drop({ owner, storages }: Kept): void {
    const { recorder, memory } = this.#engine;
    this.#kept.delete(storages[0]);
    recorder.flush();
    recorder.forget(storageOf(owner));
    memory.release(owner);
  }
}
