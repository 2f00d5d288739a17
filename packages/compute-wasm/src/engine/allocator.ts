/** Addresses are multiples of this: a cache line. */
export const ALIGNMENT = 64;

const align = (bytes: number) => Math.max(ALIGNMENT, Math.ceil(bytes / ALIGNMENT) * ALIGNMENT);

/**
 * A best-fit allocator over one range of addresses that can only be extended. It keeps the free
 * blocks in order of address and merges neighbours, and touches no memory itself.
 */
export class Allocator {
  #end: number;
  readonly #starts: number[] = [];
  readonly #sizes: number[] = [];
  readonly #taken = new Map<number, number>();

  constructor(start: number) {
    this.#end = Math.ceil(start / ALIGNMENT) * ALIGNMENT;
  }

  /** An address of `bytes` free bytes, or null when no block is large enough. */
  allocate(bytes: number): number | null {
    const size = align(bytes);
    let best = -1;
    for (let i = 0; i < this.#sizes.length; i++)
      if (this.#sizes[i] >= size && (best < 0 || this.#sizes[i] < this.#sizes[best])) best = i;
    if (best < 0) return null;
    const address = this.#starts[best];
    this.#starts[best] += size;
    this.#sizes[best] -= size;
    if (this.#sizes[best] === 0) this.#remove(best);
    this.#taken.set(address, size);
    return address;
  }

  free(address: number): void {
    const size = this.#taken.get(address);
    if (size === undefined) throw new RangeError(`${address} is not allocated`);
    this.#taken.delete(address);
    this.#insert(address, size);
  }

  /** Adds the addresses up to `end`. */
  extend(end: number): void {
    const usable = Math.floor(end / ALIGNMENT) * ALIGNMENT;
    if (usable <= this.#end) return;
    this.#insert(this.#end, usable - this.#end);
    this.#end = usable;
  }

  /** Bytes that must be added at the end before `bytes` can be allocated; 0 when they fit already. */
  shortage(bytes: number): number {
    const size = align(bytes);
    if (this.#sizes.some((each) => each >= size)) return 0;
    const last = this.#starts.length - 1;
    const touchesEnd = last >= 0 && this.#starts[last] + this.#sizes[last] === this.#end;
    return size - (touchesEnd ? this.#sizes[last] : 0);
  }

  /** Free blocks, for tests: one block means no fragmentation. */
  get freeBlocks(): number {
    return this.#starts.length;
  }

  #insert(start: number, size: number): void {
    let low = 0;
    let high = this.#starts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#starts[middle] < start) low = middle + 1;
      else high = middle;
    }
    this.#starts.splice(low, 0, start);
    this.#sizes.splice(low, 0, size);
    this.#mergeWithNext(low);
    if (low > 0) this.#mergeWithNext(low - 1);
  }

  #mergeWithNext(i: number): void {
    if (this.#starts[i] + this.#sizes[i] !== this.#starts[i + 1]) return;
    this.#sizes[i] += this.#sizes[i + 1];
    this.#remove(i + 1);
  }

  #remove(i: number): void {
    this.#starts.splice(i, 1);
    this.#sizes.splice(i, 1);
  }
}
