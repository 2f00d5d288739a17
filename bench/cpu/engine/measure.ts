/** Wall time and time of the CPU (all threads) of one piece of work, in milliseconds. */
export interface Timing {
  readonly ms: number;
  readonly cpuMs: number;
}

export async function timed<T>(work: () => Promise<T> | T): Promise<Timing & { value: T }> {
  const used = process.cpuUsage();
  const start = performance.now();
  const value = await work();
  const ms = performance.now() - start;
  const { user, system } = process.cpuUsage(used);
  return { ms, cpuMs: (user + system) / 1000, value };
}

/** The fastest of the calls that fit into `seconds`, at least three; `cpuMs` is of all of them. */
export async function fastest(
  call: () => void,
  seconds: number,
): Promise<Timing & { readonly calls: number }> {
  let ms = Number.POSITIVE_INFINITY;
  let calls = 0;
  const { cpuMs } = await timed(() => {
    const until = performance.now() + 1000 * seconds;
    while (calls < 3 || performance.now() < until) {
      const start = performance.now();
      call();
      ms = Math.min(ms, performance.now() - start);
      calls++;
    }
  });
  return { ms, cpuMs, calls };
}
