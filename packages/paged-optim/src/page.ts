import type { DType, Tensor } from '@qlorajs/compute';
import type { PageStore } from './page-store.js';

/** A tensor of a page. */
export interface PageTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** Tensors that come and go together. Plain data to everybody but the pager. */
export interface Page {
  readonly label: string;
  readonly tensors: readonly PageTensor[];
  readonly bytes: number;
}

/** What is done with a page: `overwrite` does not care for what it held. */
export type PageAccess = 'read' | 'update' | 'overwrite';

/** What a pager did so far. */
export interface PagerStats {
  /** Bytes of pages on the device now. */
  readonly residentBytes: number;
  /** Bytes copied to the device, and back from it. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly evictions: number;
}

/** Options of {@link createPager}. */
export interface PagerOptions {
  /** Bytes of pages on the device at one time. Default: what the backend has room for. */
  readonly budget?: number;
  /** Pages on the device at one time. Default: any number. */
  readonly mostPages?: number;
  /** Where the others are. Default: host memory. */
  readonly store?: PageStore;
}

/** Room for a page on the device. */
export interface Frame {
  readonly layout: string;
  readonly bytes: number;
  readonly tensors: readonly Tensor[];
}

/** What the pager knows of a page. */
export interface Entry extends Page {
  readonly id: number;
  readonly layout: string;
  frame: Frame | null;
  pins: number;
  /** The device holds what the store does not. */
  dirty: boolean;
  /** The store holds something: without, a page is zeros. */
  stored: boolean;
  /** A copy back that has not arrived. */
  pending: Promise<void> | null;
}
