import { QLoraError } from '@qlorajs/errors';
import { camelCase, type TrainingOptions, trainingOptions, withDefaults } from '@qlorajs/session';
import { z } from 'zod';

/** The engines that a run can be handed to. */
export const TARGETS = ['accelerate', 'ray', 'axolotl'] as const;

export type Target = (typeof TARGETS)[number];

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/** job.json of an exported project: what its Python files and `import-run` need to know of the run. */
const schema = z.strictObject({
  format: z.literal(1),
  /** Of qlorajs. */
  version: z.string(),
  target: z.enum(TARGETS),
  /** Tells this run from others: a hash of all that shapes it. */
  run: sha256,
  base: z.strictObject({
    /** What the adapter records as its base. */
    name: z.string(),
    /** Where it was, or `base` for the project's own copy. */
    path: z.string(),
    parameters: z.int().positive(),
    /** Fingerprints of its files. */
    files: z.record(z.string(), z.string()),
  }),
  /** Options of `qlora train`, by their names there. */
  options: z.record(z.string(), z.unknown()),
  /** Of `train_ray.py`. */
  workers: z.int().positive(),
  total_steps: z.int().positive(),
  batches_per_epoch: z.int().positive(),
  examples: z.int().positive(),
  pad_id: z.int().nonnegative(),
  /** Step of the checkpoint that the run goes on from; 0: it begins. */
  first_step: z.int().nonnegative(),
  /** What is trained, by its name in adapter_model.safetensors. */
  parameters: z
    .array(
      z.strictObject({
        name: z.string(),
        shape: z.array(z.int().positive()),
        weight_decay: z.number().nonnegative(),
        /** Multiplies the learning rate. */
        rate: z.number().nonnegative(),
      }),
    )
    .nonempty(),
  /** SHA-256 of the project's files that shape the run. */
  files: z.record(z.string(), sha256),
});

export type Job = z.infer<typeof schema>;

/** @throws QLoraError `JOB_BROKEN` when it is none that `export-run` writes */
export function parseJob(value: unknown, file: string): Job {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issues = result.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  throw new QLoraError(
    'JOB_BROKEN',
    `${file} is not a job that this version of qlora export-run writes (${issues.slice(0, 3).join('; ')}); give the project's folder, as it was exported`,
    { details: { file, issues } },
  );
}

/** Where things lie on this machine: no part of the run. */
const LOCAL = ['base', 'out', 'overwrite', 'resume_from_checkpoint', 'threads', 'backend'];

/** Options by their names in the table, as job.json has them. */
export function jobOptions(options: TrainingOptions): Record<string, unknown> {
  const values = options as unknown as Record<string, unknown>;
  return Object.fromEntries(
    Object.keys(trainingOptions)
      .filter((key) => !LOCAL.includes(key) && values[camelCase(key)] !== undefined)
      .map((key) => [key, values[camelCase(key)]]),
  );
}

/** The options of a job, with defaults for those that it does not keep. */
export function optionsOfJob(job: Job): TrainingOptions {
  const given = Object.entries(job.options).map(([key, value]) => [camelCase(key), value]);
  return withDefaults(trainingOptions, { ...Object.fromEntries(given), base: job.base.name });
}
