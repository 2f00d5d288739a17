import type { Pass } from './pass.js';

const ids = new WeakMap<object, number>();
let count = 0;

/** A number of the object's own. */
function idOf(object: object | null): number {
  if (object === null) return 0;
  let id = ids.get(object);
  if (id === undefined) {
    count += 1;
    id = count;
    ids.set(object, id);
  }
  return id;
}

/** Whether masks are drawn: the device has their seed, their operations say where its tokens begin. */
function drawsMasks({ dropoutSeed, config, adapter }: Pass): boolean {
  if (dropoutSeed === null) return false;
  return config.residualDropout > 0 || (adapter?.config.loraDropout ?? 0) > 0;
}

/**
 * Runs a part of a pass, or lets the backend issue it again: its operations are the same in every
 * pass of one shape, with one adapter and one cache.
 * @param part names what is run
 * @param beside what it uses besides the pass
 */
export function replayed(
  pass: Pass,
  part: string,
  work: () => void,
  beside: readonly (object | null)[] = [],
): void {
  const { backend, workspace, batch, length, adapter, runs, caches, firstKeys } = pass;
  if (!backend.replay || runs.length !== 1 || (caches?.length ?? 0) > 1) {
    work();
    return;
  }
  const held = [workspace, adapter, runs[0].adapter, caches?.[0] ?? null, ...beside].map(idOf);
  const packed = firstKeys ? ' packed' : '';
  const masks = drawsMasks(pass) ? ` masks from ${pass.firstToken}` : '';
  const key = `${part} ${batch}x${length}${packed}${masks} ${held.join()}`;
  backend.replay(key, work, masks ? (pass.dropoutSeed ?? undefined) : undefined);
}
