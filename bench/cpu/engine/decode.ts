import type { Backend } from '@qlorajs/compute';
import { Decoder, generate } from '@qlorajs/phi2-model';
import { timed } from './measure.js';
import { OpTimes } from './op-times.js';
import { openPhi, tokenIds } from './phi.js';

export interface DecodeOptions {
  readonly folder: string;
  readonly weights: 'nf4' | 'f32';
  readonly prompt: number;
  readonly tokens: number;
}

/** A greedy answer with a key-value cache; the time is of the tokens after the first. */
export async function decodePart(backend: Backend, options: DecodeOptions) {
  const { folder, weights, prompt, tokens } = options;
  const loaded = await timed(() => openPhi(backend, folder, weights));
  const model = loaded.value;
  const ids = [...tokenIds(prompt, Math.min(8192, model.config.vocabSize))];

  const answer = async () => {
    const decoder = new Decoder(model, prompt + tokens);
    const start = performance.now();
    const times: number[] = [];
    const chosen: number[] = [];
    for await (const { id } of generate(model, ids, { maxNewTokens: tokens, decoder })) {
      times.push(performance.now() - start);
      chosen.push(id);
    }
    decoder.dispose();
    return { prefillMs: times[0], decodeMs: times[times.length - 1] - times[0], chosen };
  };
  return {
    facts: { loadMs: loaded.ms, weightBytes: model.weightBytes },
    async sample() {
      const { value, cpuMs } = await timed(answer);
      const { prefillMs, decodeMs, chosen } = value;
      const tokensPerSecond = (1000 * (tokens - 1)) / decodeMs;
      return { ms: decodeMs / (tokens - 1), cpuMs, prefillMs, tokensPerSecond, chosen };
    },
    async profile() {
      const times = new OpTimes(backend);
      const { ms } = await timed(answer);
      return { ms, ops: times.stop() };
    },
  };
}
