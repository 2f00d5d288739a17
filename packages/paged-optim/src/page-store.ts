/** Where the contents of pages lie that are not on the device. */
export interface PageStore {
  /** Keeps the bytes; the caller does not change them afterwards. */
  put(key: string, bytes: Uint8Array): void | Promise<void>;
  /** What was put under the key; the caller does not change it. */
  get(key: string): Uint8Array | Promise<Uint8Array>;
  delete(key: string): void;
}

/** Host memory. */
export function createMemoryStore(): PageStore {
  const kept = new Map<string, Uint8Array>();
  return {
    put: (key, bytes) => void kept.set(key, bytes),
    get: (key) => kept.get(key)!,
    delete: (key) => void kept.delete(key),
  };
}
