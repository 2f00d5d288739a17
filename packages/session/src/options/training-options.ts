import { SCHEDULE_TYPES } from '@qlorajs/trainer';
import { backendOptions, baseOption, quantizationOptions } from './common-options.js';
import { type OptionsOf, option, optional, required } from './table.js';
import {
  byteSize,
  choice,
  integer,
  modules,
  number,
  patterns,
  text,
  texts,
  toggle,
  toggleOr,
} from './value-types.js';

const adapter = {
  r: option(integer(1), 16, 'rank of the adapter'),
  lora_alpha: option(number(), 32, 'numerator of its scaling'),
  lora_dropout: option(number(0, 0.99), 0.05, "dropout on the adapter's inputs"),
  target_modules: option(
    modules,
    ['q_proj', 'k_proj', 'v_proj', 'dense'],
    'linear layers that get an adapter; all-linear, or a regular expression',
  ),
  rank_pattern: optional(patterns, 'other ranks for modules whose name ends so'),
  alpha_pattern: optional(patterns, 'other alphas for modules whose name ends so'),
  use_rslora: option(toggle, false, 'scale by alpha / sqrt(r)'),
  use_dora: option(toggle, false, 'DoRA: train a magnitude for every output too'),
  modules_to_save: optional(
    texts('NAMES'),
    'modules to train whole: lm_head, embed_tokens, input_layernorm, final_layernorm',
  ),
  init_adapter: optional(text('DIR'), 'PEFT folder to start from; its rank and targets hold'),
  train_added_tokens: option(
    toggle,
    true,
    'train the embedding and head rows of tokens that the chat format adds',
  ),
};

const data = {
  chat_template: optional(
    text('FILE|tutor|base'),
    "chat format (default: the base's own, else tutor)",
  ),
  max_seq_length: optional(
    integer(2),
    'longest row in tokens (default: the context, 1024 at most)',
  ),
  truncation: option(
    choice('error', 'drop', 'truncate'),
    'error',
    'what happens to longer rows; truncate may cut the stop token',
  ),
  packing: option(toggle, false, 'several rows in one sequence, blind to each other'),
  train_on: option(choice('assistant', 'all'), 'assistant', 'which tokens carry the loss'),
  shuffle: option(toggle, true, 'another order every epoch'),
  group_by_length: option(toggle, false, 'rows of similar lengths in one step'),
  eval_data: optional(text('FILE'), 'JSONL that is only evaluated'),
  eval_split: optional(number(0), 'hold out so many rows, or below 1 that share of them'),
};

const optimization = {
  learning_rate: option(number(0), 2e-4, 'peak of the schedule'),
  loraplus_lr_ratio: optional(number(0), 'LoRA+: learning rate of the B matrices over that of A'),
  lr_scheduler_type: option(
    choice(...SCHEDULE_TYPES, 'constant_with_warmup', 'wsd'),
    'linear',
    'its shape; wsd is warmup_stable_decay',
  ),
  num_decay_steps: optional(
    integer(0),
    'decay of warmup_stable_decay (default: a tenth of all steps)',
  ),
  decay_type: option(choice('cosine', 'linear', '1-sqrt'), 'cosine', 'shape of that decay'),
  min_lr_ratio: option(number(0, 1), 0, 'where that decay ends, as a share of the peak'),
  warmup_steps: option(integer(0), 0, 'steps of a linear warm-up'),
  warmup_ratio: option(number(0, 1), 0, 'or the share of all steps'),
  num_train_epochs: option(number(0), 3, 'passes over the data; may be a fraction'),
  max_steps: option(integer(-1), -1, 'above 0 it overrides the epochs'),
  per_device_train_batch_size: option(integer(1), 4, 'rows of a micro-batch'),
  gradient_accumulation_steps: option(integer(1), 1, 'micro-batches of an optimizer step'),
  max_grad_norm: option(number(0), 1, 'gradients are clipped to this norm; 0: never'),
  weight_decay: option(number(0), 0, 'of AdamW; biases and layer norms do not decay'),
  adam_beta1: option(number(0, 1), 0.9, 'decay of the first moment'),
  adam_beta2: option(number(0, 1), 0.999, 'decay of the second moment'),
  adam_epsilon: option(number(0), 1e-8, "AdamW's epsilon"),
  optim: option(
    choice('adamw', 'paged_adamw_32bit', 'paged_adamw_8bit'),
    'adamw',
    'optimizer; the paged ones share --vram-budget, 8-bit moments take a quarter of the bytes',
  ),
  gradient_checkpointing: option(
    toggleOr('offload'),
    true,
    'keep one block of activations and compute the others again; offload: keep the inputs of blocks in host memory',
  ),
  base_offload: option(toggle, false, 'keep frozen blocks in host memory until they are used'),
  offload_folder: optional(text('DIR'), 'a file in this folder instead of host memory'),
  neftune_noise_alpha: option(number(0), 0, 'NEFTune: noise on the embeddings; 0: none'),
  seed: option(integer(0, 2 ** 32 - 1), 42, 'of the initial adapter, the order and the dropout'),
};

const logging = {
  logging_steps: option(integer(1), 1, 'steps between two logged ones'),
  eval_steps: option(integer(0), 0, 'steps between two evaluations; 0: at the end'),
  early_stopping_patience: option(integer(0), 0, 'evaluations without a new best; 0: never stop'),
  load_best_model_at_end: option(
    toggle,
    false,
    'end with the adapter of the best evaluation; its checkpoint is kept',
  ),
  save_steps: option(integer(0), 500, 'steps between two checkpoints; 0: none'),
  save_total_limit: optional(integer(1), 'checkpoints to keep: the newest, and the best'),
  max_skipped_steps: option(
    integer(1),
    8,
    'stop after so many steps in a row whose loss or gradients are not finite',
  ),
  resume_from_checkpoint: optional(text('DIR|auto'), 'go on from a checkpoint of this run'),
  report_to: option(
    choice('none', 'tensorboard', 'jsonl'),
    'jsonl',
    'tensorboard: event files in OUT/runs; train_log.jsonl is always there',
  ),
  overwrite: option(toggle, false, 'replace the earlier run in --out'),
  vram_budget: optional(byteSize, 'bytes of the device that a run may take, as in 6GB'),
  auto_fit: option(
    toggle,
    false,
    'change micro-batch, checkpointing, optimizer and offloading until the run fits',
  ),
};

/** Everything `qlora train` takes; names and defaults of transformers and PEFT unless the README says otherwise. */
export const trainingOptions = {
  ...baseOption,
  data: required(text('FILE'), 'JSONL to learn from'),
  out: required(text('DIR'), 'folder for the adapter'),
  ...adapter,
  ...data,
  ...optimization,
  ...logging,
  ...quantizationOptions,
  ...backendOptions,
};

export type TrainingOptions = OptionsOf<typeof trainingOptions>;
