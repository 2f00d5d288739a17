import { type Backend, createCountingBackend, sizeOf } from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';
import { Decoder, type PhiConfig, phiModules, phiTensors, planPhi } from '@qlorajs/phi2-model';
import { formatBytes } from '../format.js';

/** What a base will take before anything of it is read. */
export interface LoadingPlan {
  /** Of its weights on the engine. */
  readonly weightBytes: number;
  /** Of keys and values of a conversation that fills the model's context. */
  readonly contextBytes: number;
  /** Weights, a full conversation, and what one pass over a question needs. */
  readonly peakBytes: number;
  /** What the engine may take; null: it does not say. */
  readonly budgetBytes: number | null;
  /** Of the weights as a 4-bit checkpoint on disk. */
  readonly keptBytes: number;
}

/** Tokens of a question that are read in one pass. */
const QUESTION = 256;
/** Bytes a weight in NF4 with double quantization: half a byte, a scale of one per 64, 5 per 16,384. */
const NF4_BYTES = 1 / 2 + 1 / 64 + 4 / (64 * 256);

/** What is planned. */
export interface LoadingArgs {
  readonly config: PhiConfig;
  readonly backend: Pick<Backend, 'name' | 'info'>;
  /** Embedding and head in f16. */
  readonly halfTables: boolean;
}

/** Loads nothing, and answers a question with the code that answers. */
export async function planLoading({
  config,
  backend,
  halfTables,
}: LoadingArgs): Promise<LoadingPlan> {
  const dry = createCountingBackend();
  const model = planPhi(dry, config, { quantize: { doubleQuant: true }, halfTables });
  const weightBytes = dry.memory().live;
  const decoder = new Decoder(model);
  await decoder.read(new Array(Math.min(QUESTION, decoder.capacity)).fill(0));
  const linears = new Set(phiModules(config).map(({ name }) => `${name}.weight`));
  const kept = [...phiTensors(config)].reduce(
    (sum, [name, shape]) => sum + sizeOf(shape) * (linears.has(name) ? NF4_BYTES : 2),
    0,
  );
  const { memoryLimit } = backend.info;
  return {
    weightBytes,
    contextBytes: decoder.bytes,
    peakBytes: dry.memory().peak,
    budgetBytes: typeof memoryLimit === 'number' ? memoryLimit : null,
    keptBytes: Math.ceil(kept),
  };
}

/** @throws QLoraError `PLAN_BASE` when the engine has no room for the base */
export function expectRoom(name: string, plan: LoadingPlan): void {
  const { peakBytes, budgetBytes } = plan;
  if (budgetBytes === null || peakBytes <= budgetBytes) return;
  throw new QLoraError(
    'PLAN_BASE',
    `${name} takes ${formatBytes(peakBytes)} with a full conversation, and the engine has ${formatBytes(budgetBytes)}; choose a smaller model, or another engine`,
    { details: { ...plan } },
  );
}
