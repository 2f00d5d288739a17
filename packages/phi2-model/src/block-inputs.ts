import { type Backend, sizeOf, type Tensor } from '@qlorajs/compute';
import type { Page, Pager } from '@qlorajs/paged-optim';
import type { Workspace } from './workspace.js';

/** The inputs of the blocks, which gradient checkpointing keeps from the forward to the backward. */
export interface BlockInputs {
  /** The input of block `layer`: `overwrite` for the block before, `read` for the backward. */
  use(layer: number, access: 'overwrite' | 'read'): Promise<Tensor>;
  /** The tensor of `use` is not needed any more; `drop`: nor are its values. */
  release(layer: number, drop: boolean): void;
  /** Releases what an error left in use. */
  end(): void;
}

/** All of them in buffers of the workspace. */
export function inputsInWorkspace(workspace: Workspace, shape: readonly number[]): BlockInputs {
  return {
    use: async (layer) => workspace.get(`hidden.${layer}`, shape),
    release() {},
    end() {},
  };
}

/** Pages for the inputs of blocks: those that the budget has no room for wait on the host. */
export class InputPages {
  readonly #backend: Backend;
  readonly #pager: Pager;
  #pages: Page[] = [];
  #size = 0;

  constructor(backend: Backend, pager: Pager) {
    this.#backend = backend;
    this.#pager = pager;
  }

  get pager(): Pager {
    return this.#pager;
  }

  /** Inputs of one pass; the first block's is the embedding's buffer. */
  inputs(workspace: Workspace, shape: readonly number[], layers: number): BlockInputs {
    this.#reserve(sizeOf(shape), layers);
    const [pager, pages] = [this.#pager, this.#pages];
    const used = new Set<number>();
    const release = (layer: number, drop: boolean) => {
      if (!used.delete(layer)) return;
      pager.release(pages[layer]);
      if (drop) pager.discard(pages[layer]);
    };
    return {
      use: async (layer, access) => {
        // The embedding and the last hidden state are not kept for a block.
        if (layer === 0 || layer >= layers) return workspace.get(`hidden.${layer && 1}`, shape);
        const [tensor] = await pager.use(pages[layer], access);
        used.add(layer);
        if (access === 'read' && layer > 1) pager.prefetch(pages[layer - 1]);
        return this.#backend.view(tensor, 0, shape);
      },
      release,
      end() {
        for (const layer of [...used]) release(layer, true);
      },
    };
  }

  /** A page for every block, of the largest pass so far. */
  #reserve(size: number, layers: number): void {
    if (size <= this.#size) return;
    this.dispose();
    this.#size = size;
    const tensors = [{ dtype: 'f32', shape: [size] }] as const;
    this.#pages = Array.from({ length: layers }, (_, layer) =>
      this.#pager.create(`input of block ${layer}`, tensors),
    );
  }

  dispose(): void {
    for (const page of this.#pages.splice(0)) this.#pager.free(page);
    this.#size = 0;
  }
}
