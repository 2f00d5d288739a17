/**
 * A real shortage: the card is filled until its driver refuses memory, and two training steps of Phi-2's
 * shape find less room than they need. Prints what `--auto-fit` makes of them, beside the same steps with
 * all the room, and what happens without it. QLORA_DAWN as in `paged.ts`; LAYERS (8), ROWS (8), LENGTH (512).
 *
 *     node shortage.js
 */

import type { Tensor } from '@qlorajs/compute';
import { isQLoraError } from '@qlorajs/errors';
import { createAdapter, defaultLoraConfig } from '@qlorajs/lora';
import { createAdamW } from '@qlorajs/paged-optim';
import { parsePhiConfig, planPhi } from '@qlorajs/phi2-model';
import { type TrainableParts, trainable } from '@qlorajs/session';
import { train } from '@qlorajs/trainer';
import { createWebGpuBackend } from '../../packages/compute-webgpu/src/index.js';
import { openGpu } from './open-gpu.js';
import { withRandomWeights } from './random-weights.js';

const { env } = process;
const MIB = 2 ** 20;
const [layers, rows, length] = [env.LAYERS ?? 8, env.ROWS ?? 8, env.LENGTH ?? 512].map(Number);
const gpu = openGpu();
// A collected instance ends the process.
Object.assign(globalThis, { qlorajsGpu: gpu });
const backend = await createWebGpuBackend({ gpu });
const config = parsePhiConfig({
  ...{ model_type: 'phi', vocab_size: 51200, hidden_size: 2560, intermediate_size: 10240 },
  ...{ num_hidden_layers: layers, num_attention_heads: 32, partial_rotary_factor: 0.4 },
});
const plan = { quantize: { doubleQuant: true }, halfTables: true };
const model = planPhi(withRandomWeights(backend), config, plan);
const lora = defaultLoraConfig({
  ...{ r: 16, loraAlpha: 32, loraDropout: 0 },
  targetModules: ['q_proj', 'k_proj', 'v_proj', 'dense'],
});
const inputIds = Int32Array.from({ length: rows * length }, (_, i) => (i * 7919) % 50000);
const batch = {
  ...{ inputIds, labels: inputIds, batchSize: rows, length, trainedTokens: rows * (length - 1) },
  lengths: new Int32Array(rows).fill(length),
  lines: Array.from({ length: rows }, (_, i) => [i]),
};

/** Two steps from the same start. */
async function run(autoFit: boolean, prepare: () => Promise<void>) {
  const adapter = createAdapter(backend, lora, model.modules, { seed: 1 });
  model.attach(adapter);
  const optimizer = createAdamW(backend, adapter.parameters());
  model.workspace.dispose();
  await backend.sync();
  await prepare();
  backend.resetPeak();
  const { live } = backend.memory();
  const told: string[] = [];
  const options = {
    ...{ gradientCheckpointing: true, neftuneNoiseAlpha: 0 },
    ...{ autoFit, perDeviceTrainBatchSize: rows },
  };
  const parts = { model, options, pagers: {}, optimizer } as unknown as TrainableParts;
  const trained = trainable(parts, { warn: (text) => told.push(text) });
  const loop = train({
    ...{ model: trained, mend: (error: unknown) => trained.mend(error) },
    optimizer: trained.stepping(optimizer),
    train: {
      ...{ batchesPerEpoch: 1, batches: () => [batch] },
      ...{ trainedTokens: () => batch.trainedTokens, tokens: () => rows * length },
    },
    ...{ learningRate: 1e-3, schedule: 'constant', warmupSteps: 0, epochs: 2, seed: 7 },
    gradientAccumulationSteps: 1,
  });
  const losses: number[] = [];
  let error: unknown = null;
  try {
    for (let next = await loop.next(); !next.done; next = await loop.next())
      if (next.value.type === 'step') losses.push(next.value.loss);
  } catch (thrown) {
    error = isQLoraError(thrown) ? `${thrown.code}: ${thrown.message}` : String(thrown);
  }
  const need = backend.memory().peak - live;
  const b = adapter.parameters().find(({ name }) => name.includes('lora_B'))!;
  const moved = Math.max(...(await backend.read(b.value)).slice(0, 4096).map(Math.abs));
  optimizer.dispose();
  model.attach(null);
  adapter.dispose();
  return { need, figures: { autoFit, losses, told, error, largest_lora_b: moved } };
}

const filler: Tensor[] = [];
/** Takes all of the card's memory, then gives back `room` bytes. */
async function fill(room: number): Promise<void> {
  for (const bytes of [1024 * MIB, 64 * MIB])
    for (;;) {
      try {
        filler.push(backend.empty('u8', [bytes], 'filler'));
      } catch {
        break;
      }
    }
  let given = 0;
  while (given < room && filler.length > 0) {
    const last = filler.pop()!;
    given += last.size;
    backend.free(last);
  }
  await backend.sync();
  console.log(JSON.stringify({ filled_bytes: backend.memory().live, room_bytes: given }));
}

const show = (what: string, figures: object) => console.log(JSON.stringify({ what, ...figures }));
await run(true, async () => {}); // compiles, and brings the engine's scratch to its size
const whole = await run(true, async () => {});
show('all the room', { need_bytes: whole.need, ...whole.figures });
const little = 0.7 * whole.need;
show('less room', (await run(true, () => fill(little))).figures);
for (const tensor of filler.splice(0)) backend.free(tensor);
await backend.sync();
show('less room', (await run(false, () => fill(little))).figures);
for (const tensor of filler.splice(0)) backend.free(tensor);
await backend.sync();
show('all the room again', (await run(false, async () => {})).figures);
await backend.dispose();
