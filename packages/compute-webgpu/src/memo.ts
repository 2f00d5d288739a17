/** Keeps what `build` makes, by key: kernels are described once. */
export class Memo<T> {
  readonly #known = new Map<string, T>();

  get(key: string, build: () => T): T {
    let value = this.#known.get(key);
    if (value === undefined) {
      value = build();
      this.#known.set(key, value);
    }
    return value;
  }
}
