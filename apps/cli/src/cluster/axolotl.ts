import type { Batch } from '@qlorajs/dataset';
import { type FolderContent, planRun } from '@qlorajs/session';
import type { BatchSource } from '@qlorajs/trainer';
import type { Job } from './job.js';
import type { PlannedStep } from './record-steps.js';
import { jsonLines, RowTable, type TokenRow } from './row-table.js';
import type { RunContent } from './run-content.js';

const EVAL_FILE = 'ordered_eval_rows.jsonl';

function tokenized({ input_ids, labels }: TokenRow): object {
  return { input_ids, attention_mask: input_ids.map(() => 1), labels };
}

/** Rows in the order in which the steps take them, one epoch after the other. */
export function axolotlRows(rows: readonly TokenRow[], steps: readonly PlannedStep[]): string {
  const inOrder = steps.flatMap(({ micro_batches }) => micro_batches.flat());
  return jsonLines(inOrder.map((index) => tokenized(rows[index])));
}

/** The file of the rows that are evaluated, if there are some. */
export function axolotlEvalRows(evaluation: BatchSource<Batch> | null): FolderContent {
  if (evaluation === null) return {};
  return { [EVAL_FILE]: jsonLines(new RowTable(evaluation).rows.map(tokenized)) };
}

const OPTIMIZERS = {
  adamw: 'adamw_torch',
  paged_adamw_32bit: 'paged_adamw_32bit',
  paged_adamw_8bit: 'paged_adamw_8bit',
} as const;

const SCHEDULES = {
  linear: 'linear',
  cosine: 'cosine',
  constant: 'constant_with_warmup',
  warmup_stable_decay: 'warmup_stable_decay',
} as const;

/** The options of a run in Axolotl's names; the adapter that it starts from says the rest. */
export function axolotlConfig(job: Job, { run, rows }: RunContent): Record<string, unknown> {
  const { options } = run;
  const plan = planRun(options, job.batches_per_epoch);
  const data = (path: string) => [{ path, ds_type: 'json', type: null }];
  const { decay } = plan;
  return {
    base_model: job.base.path === 'base' ? './base' : job.base.path,
    tokenizer_config: './start',
    adapter: options.loadIn4bit ? 'qlora' : 'lora',
    load_in_4bit: options.loadIn4bit,
    lora_model_dir: './start',
    lora_r: run.adapter.config.r,
    lora_alpha: run.adapter.config.loraAlpha,
    lora_dropout: run.adapter.config.loraDropout,
    lora_target_modules: run.adapter.config.targetModules,
    // Rows are tokens already, in the order of the steps.
    datasets: data('./ordered_rows.jsonl'),
    ...(run.evaluation && { test_datasets: data(`./${EVAL_FILE}`) }),
    dataset_prepared_path: './prepared',
    shuffle_merged_datasets: false,
    curriculum_sampling: true,
    sample_packing: false,
    sequence_len: Math.max(...rows.map(({ input_ids }) => input_ids.length)),
    micro_batch_size: options.perDeviceTrainBatchSize,
    gradient_accumulation_steps: options.gradientAccumulationSteps,
    num_epochs: 1,
    max_steps: plan.totalSteps,
    optimizer: OPTIMIZERS[options.optim],
    learning_rate: options.learningRate,
    loraplus_lr_ratio: options.loraplusLrRatio,
    lr_scheduler: SCHEDULES[plan.type],
    ...(plan.type === 'warmup_stable_decay' && {
      lr_scheduler_kwargs: {
        num_decay_steps: decay.steps,
        decay_type: decay.type,
        min_lr_ratio: decay.minRatio,
      },
    }),
    warmup_steps: plan.warmupSteps,
    weight_decay: options.weightDecay,
    adam_beta1: options.adamBeta1,
    adam_beta2: options.adamBeta2,
    adam_epsilon: options.adamEpsilon,
    max_grad_norm: options.maxGradNorm,
    neftune_noise_alpha: options.neftuneNoiseAlpha || undefined,
    gradient_checkpointing: options.gradientCheckpointing !== false,
    gradient_checkpointing_kwargs: { use_reentrant: false },
    bf16: 'auto',
    seed: options.seed,
    logging_steps: options.loggingSteps,
    save_steps: options.saveSteps || undefined,
    save_total_limit: options.saveTotalLimit,
    eval_steps: options.evalSteps || undefined,
    output_dir: './result',
  };
}
