/**
 * Bytes of every file of `packages/phi2-model/fixtures`, by path from `/phi2-model` on. `bundle.ts`
 * puts them in: here it is empty.
 */
export const fixtureFiles: ReadonlyMap<string, Uint8Array> = new Map();
