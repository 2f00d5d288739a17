import type { Backend } from '@qlorajs/compute';

/** An idle GPU runs at a fraction of its clock: an H200 was seen at 360 of 1980 MHz. */
const WARM_MS = 300;
const MEASURE_MS = 40;

/** Milliseconds of one `run`, the median of three batches on a warm GPU. */
export async function timeOf(backend: Backend, run: () => void): Promise<number> {
  const batch = async (count: number) => {
    const start = performance.now();
    for (let i = 0; i < count; i++) run();
    await backend.sync();
    return (performance.now() - start) / count;
  };
  await batch(1);
  const once = await batch(1);
  const until = performance.now() + WARM_MS;
  while (performance.now() < until) await batch(Math.ceil(Math.min(200, 10 / once)));
  const count = Math.ceil(Math.min(400, Math.max(4, MEASURE_MS / (await batch(4)))));
  const times = [await batch(count), await batch(count), await batch(count)];
  return times.sort((a, b) => a - b)[1];
}
