import {
  type Backend,
  BYTES_PER_ELEMENT,
  sizeOf,
  type Tensor,
  type TensorData,
  type Uploads,
} from '@qlorajs/compute';
import { isQLoraError, QLoraError } from '@qlorajs/errors';
import type {
  Entry,
  Frame,
  Page,
  PageAccess,
  PagerOptions,
  PagerStats,
  PageTensor,
} from './page.js';
import { arrayOf, bytesOf, readBack } from './page-data.js';
import { createMemoryStore, type PageStore } from './page-store.js';

/** Bytes of a page from which on it goes by `Backend.uploads`. */
const UPLOAD = 2 ** 20;
/** Copies back to the host that may be under way at one time. */
const MOST_PENDING = 3;

/**
 * Keeps tensors in pages: on the device within a byte budget, others elsewhere: those that were
 * not used for longest, of pages that need not be copied back first.
 * CUDA's managed memory does that behind a program's back (QLoRA, section 3); here it is explicit, so
 * that it works on every engine. A page that is moved out and in again holds the same bits.
 *
 * It also gives room when the backend runs short ({@link Backend.onShortage}): pages that nobody uses
 * go before an allocation is refused.
 */
export class Pager {
  readonly backend: Backend;
  readonly budget: number;
  readonly #mostPages: number;
  readonly #store: PageStore;
  /** Pages on the device, the least recently used first. */
  readonly #resident = new Set<Entry>();
  /** Frames that no page is in. */
  readonly #idle: Frame[] = [];
  readonly #pending = new Set<Promise<void>>();
  readonly #fetching = new Set<Promise<unknown>>();
  readonly #endShortage: () => void;
  #bytes = 0;
  #nextId = 0;
  /** The backend ran short once: frames are used again rather than new ones asked for. */
  #short = false;
  #stats = { bytesIn: 0, bytesOut: 0, evictions: 0 };

  /** @internal Use {@link createPager}. */
  constructor(backend: Backend, options: PagerOptions) {
    this.backend = backend;
    this.budget = options.budget ?? Number.POSITIVE_INFINITY;
    this.#mostPages = options.mostPages ?? Number.POSITIVE_INFINITY;
    this.#store = options.store ?? createMemoryStore();
    this.#endShortage = backend.onShortage((bytes) => this.#reclaim(bytes));
  }

  get stats(): PagerStats {
    return { ...this.#stats, residentBytes: this.#bytes };
  }

  /**
   * A new page, of zeros; it takes room when it is first used.
   * @throws QLoraError `PAGER_BUDGET` when it is larger than the whole budget
   */
  create(label: string, tensors: readonly PageTensor[]): Page {
    const bytes = tensors.reduce((sum, t) => sum + sizeOf(t.shape) * BYTES_PER_ELEMENT[t.dtype], 0);
    if (bytes > this.budget) throw this.#tooSmall(label, bytes);
    const layout = tensors.map(({ dtype, shape }) => `${dtype}[${shape}]`).join();
    const state = { frame: null, pins: 0, dirty: false, stored: false, pending: null };
    const entry: Entry = { id: this.#nextId++, label, tensors, bytes, layout, ...state };
    return entry;
  }

  /** A page made of tensors that are on the device already; they are the pager's from here on. */
  adopt(label: string, tensors: readonly Tensor[]): Page {
    const page = this.create(label, tensors) as Entry;
    const { layout, bytes } = page;
    this.#makeRoom(bytes, label);
    page.frame = { layout, bytes, tensors };
    page.dirty = true;
    this.#bytes += bytes;
    this.#resident.add(page);
    return page;
  }

  /**
   * Brings a page onto the device, where it stays until {@link release}.
   * @returns its tensors, in order; not to be used after the release
   * @throws QLoraError `PAGER_BUDGET` when pages in use fill the budget, `COMPUTE_OUT_OF_MEMORY`
   */
  async use(page: Page, access: PageAccess): Promise<readonly Tensor[]> {
    if (this.#pending.size > MOST_PENDING) await [...this.#pending][0]!.catch(() => {});
    return this.#use(page as Entry, access, true);
  }

  release(page: Page): void {
    (page as Entry).pins--;
  }

  /** Begins to bring a page in that is used next; where there is no room nothing happens. */
  prefetch(page: Page): void {
    if ((page as Entry).frame) return;
    const fetching = this.#use(page as Entry, 'read', false).then(
      () => this.release(page),
      () => {}, // `use` will say what is wrong.
    );
    this.#fetching.add(fetching);
    void fetching.then(() => this.#fetching.delete(fetching));
  }

  /** Forgets what a page holds: nothing is copied back, and its room is free. */
  discard(page: Page): void {
    const entry = page as Entry;
    entry.dirty = false;
    this.#forget(entry);
    if (!entry.frame || entry.pins > 0) return;
    this.#idle.push(entry.frame);
    entry.frame = null;
    this.#resident.delete(entry);
  }

  /** A page's contents, wherever they are; the page stays where it is. */
  async read(page: Page): Promise<TensorData[]> {
    const entry = page as Entry;
    const bytes = entry.frame
      ? await Promise.all(entry.frame.tensors.map((tensor) => readBack(this.backend, tensor)))
      : await this.#fetch(entry);
    return entry.tensors.map(({ dtype, shape }, i) =>
      arrayOf(dtype, bytes?.[i] ?? new Uint8Array(sizeOf(shape) * BYTES_PER_ELEMENT[dtype])),
    );
  }

  /** Replaces a page's contents. The arrays must not change while the page lives. */
  async write(page: Page, contents: readonly TensorData[]): Promise<void> {
    const entry = page as Entry;
    if (entry.frame) {
      for (const [i, tensor] of entry.frame.tensors.entries())
        this.backend.write(tensor, contents[i]!);
      entry.dirty = true;
      return;
    }
    await entry.pending;
    entry.stored = true;
    await this.#put(entry, contents.map(bytesOf));
  }

  /** Frees a page, on the device and elsewhere. */
  free(page: Page): void {
    this.discard(page);
    this.#freeIdle();
  }

  /** Frees every page. */
  dispose(): void {
    this.#endShortage();
    for (const entry of [...this.#resident]) {
      entry.pins = 0;
      this.discard(entry);
    }
    this.#freeIdle();
  }

  /** @param patient waits for the room of what is being fetched ahead */
  async #use(entry: Entry, access: PageAccess, patient: boolean): Promise<readonly Tensor[]> {
    entry.pins++; // First of all: what is being brought in must not be moved out.
    try {
      if (!entry.frame) await this.#bringIn(entry, access === 'overwrite', patient);
    } catch (error) {
      entry.pins--;
      throw error;
    }
    if (access !== 'read') entry.dirty = true;
    this.#resident.delete(entry);
    this.#resident.add(entry);
    return entry.frame!.tensors;
  }

  async #bringIn(entry: Entry, blank: boolean, patient: boolean): Promise<void> {
    if (blank) this.#forget(entry);
    // Waiting only where there is something to wait for: host memory answers at once.
    const fetched = blank ? null : this.#fetch(entry);
    const contents = fetched instanceof Promise ? await fetched : fetched;
    const wait = contents && this.#uploads(entry)?.room(entry.bytes);
    if (wait) await wait;
    if (entry.frame) return; // A prefetch was faster.
    try {
      entry.frame = this.#frame(entry);
    } catch (error) {
      // What is fetched ahead, or what others gave back and the driver has only after a wait.
      const isFreed = isQLoraError(error) && error.details.freed === true;
      if (!patient || (this.#fetching.size === 0 && !isFreed)) throw error;
      await Promise.all(this.#fetching);
      if (isFreed) await this.backend.sync();
      entry.frame ??= this.#frame(entry);
    }
    this.#resident.add(entry);
    if (!blank) this.#fill(entry, contents);
  }

  /** What carries a page that is large enough to be worth it. */
  #uploads({ bytes }: Entry): Uploads | undefined {
    return bytes >= UPLOAD ? this.backend.uploads : undefined;
  }

  #fill(entry: Entry, contents: readonly Uint8Array[] | null): void {
    const { frame, tensors, bytes } = entry;
    const carrier = this.#uploads(entry) ?? this.backend;
    for (const [i, tensor] of frame!.tensors.entries()) {
      const { dtype } = tensors[i]!;
      if (contents) carrier.write(tensor, arrayOf(dtype, contents[i]!));
      else if (dtype === 'f32') this.backend.ops.fill({ out: tensor, value: 0 });
      else
        this.backend.write(
          tensor,
          arrayOf(dtype, new Uint8Array(tensor.size * BYTES_PER_ELEMENT[dtype])),
        );
    }
    if (contents) this.#stats.bytesIn += bytes;
  }

  /** What the store holds of a page; null: zeros. */
  #fetch(entry: Entry): Uint8Array[] | null | Promise<Uint8Array[] | null> {
    if (entry.pending) return entry.pending.then(() => this.#fetch(entry));
    if (!entry.stored) return null;
    const parts = entry.tensors.map((_, i) => this.#store.get(`${entry.id}.${i}`));
    return parts.some((part) => part instanceof Promise)
      ? Promise.all(parts)
      : (parts as Uint8Array[]);
  }

  async #put(entry: Entry, contents: readonly Uint8Array[]): Promise<void> {
    for (const [i, bytes] of contents.entries()) await this.#store.put(`${entry.id}.${i}`, bytes);
  }

  #forget(entry: Entry): void {
    if (!entry.stored) return;
    entry.stored = false;
    const remove = () => {
      for (const i of entry.tensors.keys()) this.#store.delete(`${entry.id}.${i}`);
    };
    if (entry.pending) this.#await(entry, entry.pending.then(remove));
    else remove();
  }

  /** Room on the device for a page, that of another one where need be. */
  #frame(entry: Entry): Frame {
    const { layout, bytes, label } = entry;
    const same = this.#idle.findIndex((frame) => frame.layout === layout);
    if (same >= 0) return this.#idle.splice(same, 1)[0]!;
    const other = this.#short || this.#isFull(bytes) ? this.#victim(layout) : null;
    if (other) return this.#moveOut(other);
    this.#makeRoom(bytes, label);
    const tensors: Tensor[] = [];
    try {
      for (const { dtype, shape } of entry.tensors)
        tensors.push(this.backend.empty(dtype, shape, label));
    } catch (error) {
      for (const tensor of tensors) this.backend.free(tensor);
      throw error;
    }
    this.#bytes += bytes;
    return { layout, bytes, tensors };
  }

  /** Moves pages out until `bytes` more are within the budget. */
  #makeRoom(bytes: number, label: string): void {
    while (this.#isFull(bytes)) if (!this.#giveOne()) throw this.#tooSmall(label, bytes);
  }

  /** Whether a page of so many bytes must wait for another to leave. */
  #isFull(bytes: number): boolean {
    const pages = this.#resident.size + this.#idle.length;
    return this.#bytes + bytes > this.budget || pages >= this.#mostPages;
  }

  /** Frees the room of an idle frame or of the page that was not used for longest. */
  #giveOne(): boolean {
    let frame = this.#idle.pop();
    if (!frame) {
      const victim = this.#victim();
      if (!victim) return false;
      frame = this.#moveOut(victim);
    }
    for (const tensor of frame.tensors) this.backend.free(tensor);
    this.#bytes -= frame.bytes;
    return true;
  }

  /** What was not used for longest, first of all among pages that need not be copied back. */
  #victim(layout?: string): Entry | null {
    let dirty: Entry | null = null;
    for (const entry of this.#resident) {
      if (entry.pins > 0 || (layout ?? entry.layout) !== entry.layout) continue;
      if (!entry.dirty) return entry;
      dirty ??= entry;
    }
    return dirty;
  }

  #moveOut(entry: Entry): Frame {
    const frame = entry.frame!;
    if (entry.dirty) {
      // The reads are in order with the operations: the frame can be written to at once.
      const reads = Promise.all(frame.tensors.map((tensor) => readBack(this.backend, tensor)));
      const before = entry.pending;
      const put = async () => {
        const contents = await reads;
        await before;
        await this.#put(entry, contents);
      };
      entry.stored = true;
      this.#await(entry, put());
      this.#stats.bytesOut += entry.bytes;
    }
    entry.dirty = false;
    entry.frame = null;
    this.#resident.delete(entry);
    this.#stats.evictions++;
    return frame;
  }

  /** Remembers that a page's contents are on their way; a failure is for whoever uses the page. */
  #await(entry: Entry, pending: Promise<void>): void {
    entry.pending = pending;
    this.#pending.add(pending);
    pending
      .finally(() => this.#pending.delete(pending))
      .then(
        () => {
          if (entry.pending === pending) entry.pending = null;
        },
        () => {},
      );
  }

  #reclaim(bytes: number): boolean {
    this.#short = true;
    const before = this.#bytes;
    while (before - this.#bytes < bytes && this.#giveOne());
    return this.#bytes < before;
  }

  #freeIdle(): void {
    for (const frame of this.#idle.splice(0)) {
      for (const tensor of frame.tensors) this.backend.free(tensor);
      this.#bytes -= frame.bytes;
    }
  }

  #tooSmall(label: string, bytes: number): QLoraError {
    return new QLoraError(
      'PAGER_BUDGET',
      `no room for page ${label} of ${bytes} bytes: pages in use take ${this.#bytes} of a budget of ${this.budget}; give a larger budget`,
      { kind: 'runtime', details: { label, bytes, resident: this.#bytes, budget: this.budget } },
    );
  }
}

/** Makes a {@link Pager} for the tensors of a backend. */
export function createPager(backend: Backend, options: PagerOptions = {}): Pager {
  return new Pager(backend, options);
}
