declare module 'virtual:fixtures' {
  /** Bytes of every file of `packages/phi2-model/fixtures`, by path from `/phi2-model` on. */
  export const fixtures: ReadonlyMap<string, Uint8Array>;
}
