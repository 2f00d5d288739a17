import type { Reclaim } from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';
import { Allocator } from './allocator.js';
import { host, type WasmMemory } from './host.js';

const PAGE = 65536;
/** The last page is left out, so that the address behind the last byte fits 32 bits. */
const MOST_PAGES = 65535;
const INITIAL_PAGES = 64;
/** Memory grows by this much at least: growing makes new views. */
const GROWTH_BYTES = 16 * 2 ** 20;

export const HAS_SHARED_MEMORY = host.SharedArrayBuffer !== undefined;

/** The linear memory: its views, and who owns which part. */
export class Heap {
  readonly memory: WasmMemory;
  /** Bytes that the memory can grow to. */
  readonly limit: number;
  f32!: Float32Array;
  i32!: Int32Array;
  u32!: Uint32Array;
  u16!: Uint16Array;
  u8!: Uint8Array;
  /** Asked for room before an allocation is refused; true when it freed something. */
  reclaim: Reclaim = () => false;
  #allocator: Allocator;
  /** Nothing at or above this address was ever written: it is still zero. */
  #touched = 0;

  constructor(memoryLimit: number) {
    const wanted = Math.max(INITIAL_PAGES, Math.min(MOST_PAGES, Math.ceil(memoryLimit / PAGE)));
    const [memory, pages] = reserve(wanted);
    this.memory = memory;
    this.limit = pages * PAGE;
    this.#allocator = new Allocator(0);
    this.#look();
  }

  /** Gives the addresses from `start` on to the allocator. */
  open(start: number): void {
    this.#allocator = new Allocator(start);
    this.#allocator.extend(this.memory.buffer.byteLength);
  }

  /** The address of `bytes` bytes: zeros, or (`'any'`) whatever was there. */
  allocate(bytes: number, contents: 'zeros' | 'any', label: string): number {
    for (;;) {
      const shortage = this.#allocator.shortage(bytes);
      if (shortage === 0 || this.#grow(shortage)) break;
      if (!this.reclaim(shortage)) throw this.#refuse(bytes, label);
    }
    const address = this.#allocator.allocate(bytes);
    if (address === null) throw new Error('unreachable: the allocator has just grown');
    const end = address + bytes;
    if (contents === 'zeros' && address < this.#touched)
      this.u8.fill(0, address, Math.min(end, this.#touched));
    this.#touched = Math.max(this.#touched, end);
    return address;
  }

  free(address: number): void {
    this.#allocator.free(address);
  }

  #refuse(bytes: number, label: string): QLoraError {
    const now = this.memory.buffer.byteLength;
    return new QLoraError(
      'COMPUTE_OUT_OF_MEMORY',
      `no room for ${bytes} bytes${label && ` (${label})`}: the memory has ${now} bytes and may grow to ${this.limit}; ` +
        'use a smaller batch or shorter sequences, checkpoint gradients, or raise memoryLimit (at most 4 GiB)',
      { kind: 'runtime', details: { bytes, label, memory: now, limit: this.limit } },
    );
  }

  /** False where the limit or the host has no room for so many more bytes. */
  #grow(shortage: number): boolean {
    const room = this.limit - this.memory.buffer.byteLength;
    if (shortage > room) return false;
    const pages = Math.ceil(Math.min(room, Math.max(shortage, GROWTH_BYTES)) / PAGE);
    try {
      this.memory.grow(pages);
    } catch {
      return false;
    }
    this.#look();
    this.#allocator.extend(this.memory.buffer.byteLength);
    return true;
  }

  #look(): void {
    const { buffer } = this.memory;
    this.f32 = new Float32Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.u16 = new Uint16Array(buffer);
    this.u8 = new Uint8Array(buffer);
  }
}

/** Reserves address space: as many pages as wanted, or what the host gives. */
function reserve(wanted: number): [WasmMemory, number] {
  for (let pages = wanted; ; pages = Math.floor(pages / 2)) {
    try {
      const options = { initial: INITIAL_PAGES, maximum: pages, shared: HAS_SHARED_MEMORY };
      return [new host.WebAssembly.Memory(options), pages];
    } catch (cause) {
      if (pages < 2 * INITIAL_PAGES)
        throw new QLoraError(
          'COMPUTE_OUT_OF_MEMORY',
          `the host reserves no WebAssembly memory, not even ${INITIAL_PAGES * PAGE} bytes; close other programs or pages`,
          { kind: 'runtime', details: { bytes: INITIAL_PAGES * PAGE }, cause },
        );
    }
  }
}
