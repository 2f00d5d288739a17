import type { Backend } from '@qlorajs/compute';
import type { LoraConfig } from '@qlorajs/lora';
import { createPager, type Pager, type PageStore } from '@qlorajs/paged-optim';
import type { TrainingOptions } from '../options/training-options.js';

/** Options that decide what is paged. */
export type PagingOptions = Pick<
  TrainingOptions,
  'optim' | 'gradientCheckpointing' | 'baseOffload' | 'vramBudget'
>;

/** Who pages what; an absent one leaves its tensors on the device. */
export interface Pagers {
  readonly states?: Pager;
  readonly blocks?: Pager;
  readonly inputs?: Pager;
}

/** DoRA and whole modules read frozen weights outside of a block's turn, when they may be away. */
export function canPageBlocks(lora: Pick<LoraConfig, 'useDora' | 'modulesToSave'>): boolean {
  return !lora.useDora && (lora.modulesToSave ?? []).length === 0;
}

/** The pages in use at one time and one ahead: of blocks, and of their inputs. */
const BLOCKS = 2;
const INPUTS = 3;

/**
 * Under a budget everything that may move shares one pager, which keeps on the device what the
 * budget has room for. Without one, what is offloaded is on the device while it is used.
 * @param store where pages are that are not on the device; default: host memory
 */
export function createPagers(
  backend: Backend,
  options: PagingOptions,
  store?: () => PageStore,
): Pagers {
  const { optim, gradientCheckpointing, baseOffload, vramBudget } = options;
  const offloadsInputs = gradientCheckpointing === 'offload';
  if (vramBudget !== undefined) {
    const pager = createPager(backend, { store: store?.() });
    return {
      ...(optim === 'adamw' ? {} : { states: pager }),
      ...(baseOffload ? { blocks: pager } : {}),
      ...(offloadsInputs ? { inputs: pager } : {}),
    };
  }
  const few = (mostPages: number) => createPager(backend, { mostPages, store: store?.() });
  return {
    ...(baseOffload ? { blocks: few(BLOCKS) } : {}),
    ...(offloadsInputs ? { inputs: few(INPUTS) } : {}),
  };
}
