import { isQLoraError, QLoraError } from '@qlorajs/errors';

/**
 * Work that failed in the middle of a run (a lost device, a full disk, losses that stay not finite),
 * with the checkpoint that a new start goes on from; mistakes of the input as they are.
 * @param autoFit whether the run took its steps with fewer rows where memory ran out
 */
export function withLastCheckpoint(
  thrown: unknown,
  checkpoint: string | null,
  autoFit: boolean,
): unknown {
  if (!isQLoraError(thrown) || thrown.kind !== 'runtime') return thrown;
  const step = checkpoint?.split('checkpoint-').at(-1);
  const remedy = checkpoint
    ? `step ${step} is in ${checkpoint}: the same command with --resume-from-checkpoint ${checkpoint} goes on from it`
    : 'no checkpoint was written yet: --save-steps N writes one every N steps';
  const fit =
    thrown.code === 'COMPUTE_OUT_OF_MEMORY' && !autoFit
      ? ', or --auto-fit, which takes such a step again with fewer rows at a time'
      : '';
  return new QLoraError(thrown.code, `${thrown.message}${fit}. ${remedy}`, {
    kind: thrown.kind,
    details: { ...thrown.details, checkpoint },
    cause: thrown,
  });
}
