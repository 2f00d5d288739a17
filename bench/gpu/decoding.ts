import { Decoder, generate, type PhiModel } from '@qlorajs/phi2-model';
import type { WebGpuBackend } from '../../packages/compute-webgpu/src/index.js';
import { Busy } from './busy.js';

type Profiler = NonNullable<WebGpuBackend['profiler']>;
type Log = (text: string) => void;

const [WARM, TOKENS] = [32, 128];

/** The kernels that took longest. */
export function logTimes(
  name: string,
  times: Awaited<ReturnType<Profiler['stop']>>,
  log: Log,
): void {
  const all = [...times].sort(([, a], [, b]) => b.nanoseconds - a.nanoseconds);
  const total = all.reduce((sum, [, { nanoseconds }]) => sum + nanoseconds, 0);
  const count = all.reduce((sum, [, each]) => sum + each.count, 0);
  log(`${name} profile: ${count} dispatches, ${(total / 1e6).toFixed(2)} ms on the device`);
  for (const [kernel, each] of all.slice(0, 45))
    console.log(
      `  ${(each.nanoseconds / 1e6).toFixed(2).padStart(8)} ms ${String(each.count).padStart(5)} x ${(each.nanoseconds / each.count / 1e3).toFixed(1).padStart(7)} us  ${kernel}`,
    );
}

const largest = (logits: Float32Array) => {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i] > logits[best]) best = i;
  return best;
};

/** Tokens a second of a greedy answer, and of one whose logits come to the host, as those are drawn from. */
export async function measureDecoding(
  model: PhiModel,
  promptOf: (length: number) => number[],
  profiler: Profiler | null,
  log: Log,
): Promise<Record<string, unknown>> {
  const facts: Record<string, unknown> = {};
  for (const length of [128, 1024]) {
    const decoder = new Decoder(model, 2048);
    const prefill = performance.now();
    const first = largest(await decoder.read(promptOf(length)));
    const prefillSeconds = (performance.now() - prefill) / 1000;
    const busy = new Busy();
    const read = async (count: number) => {
      busy.milliseconds = 0;
      const begin = performance.now();
      let next = first;
      for (let i = 0; i < count; i++) next = largest(await busy.run(() => decoder.read([next])));
      return (performance.now() - begin) / 1000;
    };
    await read(WARM);
    const hostTokensPerSecond = TOKENS / (await read(TOKENS));
    const hostMilliseconds = busy.milliseconds / TOKENS;
    decoder.truncate(length);
    const answer = generate(model, [first], { decoder, maxNewTokens: WARM + TOKENS + 1 });
    const take = async (count: number) => {
      busy.milliseconds = 0;
      const begin = performance.now();
      for (let i = 0; i < count; i++) await busy.run(() => answer.next());
      return (performance.now() - begin) / 1000;
    };
    await take(WARM);
    const tokensPerSecond = TOKENS / (await take(TOKENS));
    facts[length] = {
      ...{ tokensPerSecond, prefillSeconds, jsMilliseconds: busy.milliseconds / TOKENS },
      ...{ hostTokensPerSecond, hostMilliseconds },
    };
    log(`decode after ${length}: ${JSON.stringify(facts[length])}`);
    if (profiler) {
      profiler.start();
      await read(1);
      logTimes(`decode after ${length}`, await profiler.stop(), log);
    }
    await answer.return('aborted');
    decoder.dispose();
  }
  return facts;
}
