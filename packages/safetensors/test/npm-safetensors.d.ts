/** The part of the npm package `safetensors` 0.0.1, which has no types, that the test uses. */
declare module 'safetensors' {
  class SafeTensor {
    constructor(bytes: Uint8Array);
    readonly metadata: ReadonlyMap<
      string,
      { readonly dtype: string; readonly shape: readonly number[] }
    >;
    getTensor(name: string): Uint8Array;
  }
  const exports: { readonly SafeTensor: typeof SafeTensor };
  export default exports;
}
