import { join } from 'node:path';
import { isQLoraError, QLoraError } from '@qlorajs/errors';
import { checkpointSteps } from './checkpoint.js';

/** What a device can do in the middle of a run. */
const FAILURES = new Set(['WEBGPU_DEVICE_LOST', 'WEBGPU_ERROR', 'COMPUTE_OUT_OF_MEMORY']);

/** A device's failure with the checkpoint that a new start goes on from; other errors as they are. */
export async function withLastCheckpoint(thrown: unknown, out: string): Promise<unknown> {
  if (!isQLoraError(thrown) || !FAILURES.has(thrown.code)) return thrown;
  const step = (await checkpointSteps(out)).at(-1);
  const checkpoint = step === undefined ? null : join(out, `checkpoint-${step}`);
  const remedy = checkpoint
    ? `step ${step} is in ${checkpoint}: the same command with --resume-from-checkpoint auto goes on from it`
    : 'no checkpoint was written yet: --save-steps N writes one every N steps';
  return new QLoraError(thrown.code, `${thrown.message}. ${remedy}`, {
    kind: thrown.kind,
    details: { ...thrown.details, checkpoint },
    cause: thrown,
  });
}
