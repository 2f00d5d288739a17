/**
 * Our engine of the benchmarks: node engine.mjs '{"part":"step","threads":2,…}', then one line of JSON
 * in, one out: {"ask":"sample"} -> {"value":{…}}. `bench/peers/engine.py` is its counterpart.
 */
import { createInterface } from 'node:readline';
import { createWasmBackend } from '@qlorajs/compute-wasm';
import { type DecodeOptions, decodePart } from './decode.js';
import { type GemmRequest, gemmPart } from './gemm.js';
import { type StepOptions, stepPart } from './step.js';

type Start = { readonly threads: number } & (
  | { readonly part: 'gemm' }
  | ({ readonly part: 'step' } & StepOptions)
  | ({ readonly part: 'decode' } & DecodeOptions)
);

interface Request {
  readonly ask: 'facts' | 'sample' | 'profile' | 'memory';
  readonly gemm?: GemmRequest;
}

const start = JSON.parse(process.argv[2]) as Start;
const importBytes = 1024 * process.resourceUsage().maxRSS;
const backend = await createWasmBackend({ threads: start.threads });
const part =
  start.part === 'gemm'
    ? gemmPart(backend)
    : start.part === 'step'
      ? await stepPart(backend, start)
      : await decodePart(backend, start);

async function answer({ ask, gemm }: Request): Promise<unknown> {
  if (ask === 'facts') return { node: process.version, ...backend.info, ...part.facts };
  if (ask === 'memory')
    return {
      peakBytes: 1024 * process.resourceUsage().maxRSS,
      importBytes,
      tensorBytes: backend.memory().peak,
    };
  if (ask === 'profile') return 'profile' in part ? part.profile() : null;
  return part.sample(gemm as GemmRequest);
}

for await (const line of createInterface({ input: process.stdin })) {
  const reply = await answer(JSON.parse(line) as Request).then(
    (value) => ({ value }),
    (error: unknown) => ({ error: String(error instanceof Error ? error.stack : error) }),
  );
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
await backend.dispose();
