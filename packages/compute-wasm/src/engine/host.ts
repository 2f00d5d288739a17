// The few parts of the host that the engine touches, typed here: the libraries of a page (`dom`) and
// of Node never meet in one program, and this package runs in both.

/** A `WebAssembly.Memory`. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer;
  /** Adds pages of 64 KiB. @throws RangeError when there is no room. */
  grow(pages: number): number;
}

/** The exports of the kernels: functions, and globals for constants. */
export type KernelExports = Readonly<
  Record<string, ((...values: number[]) => number) & { readonly value: number }>
>;

/** A compiled `WebAssembly.Module`. */
export type WasmModule = object;

interface WebAssemblyHost {
  validate(bytes: Uint8Array): boolean;
  compile(bytes: Uint8Array): Promise<WasmModule>;
  instantiate(module: WasmModule, imports: object): Promise<{ readonly exports: KernelExports }>;
  readonly Memory: new (options: {
    initial: number;
    maximum: number;
    shared: boolean;
  }) => WasmMemory;
}

/** A worker of a page, or of `node:worker_threads`. */
export interface HostWorker {
  postMessage(message: unknown): void;
  terminate(): unknown;
  unref?(): void;
  on?(event: 'message' | 'error', listener: (value: unknown) => void): void;
  addEventListener?(event: 'message' | 'error', listener: (value: unknown) => void): void;
}

interface WorkerThreads {
  readonly Worker: new (source: string, options: { eval: true; execArgv: string[] }) => HostWorker;
}

interface Host {
  readonly WebAssembly: WebAssemblyHost;
  setTimeout(callback: () => void, milliseconds: number): unknown;
  readonly SharedArrayBuffer?: unknown;
  readonly Worker?: new (url: string) => HostWorker;
  readonly navigator?: { readonly hardwareConcurrency?: number };
  readonly process?: {
    getBuiltinModule?(name: 'node:worker_threads'): WorkerThreads;
    getBuiltinModule?(name: 'node:os'): { availableParallelism(): number };
  };
}

export const host = globalThis as unknown as Host;

/** Cores that this process may use. */
export function availableThreads(): number {
  const os = host.process?.getBuiltinModule?.('node:os');
  return os?.availableParallelism() ?? host.navigator?.hardwareConcurrency ?? 1;
}

/** A worker that runs `source`. */
export function startWorker(source: string): HostWorker {
  const threads = host.process?.getBuiltinModule?.('node:worker_threads');
  if (threads) return new threads.Worker(source, { eval: true, execArgv: [] });
  if (!host.Worker) throw new Error('this host has no workers');
  const url = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
  return new host.Worker(url);
}
