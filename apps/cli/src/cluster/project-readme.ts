import type { Job } from './job.js';

const ENGINES = {
  accelerate: 'Hugging Face Accelerate',
  ray: 'Ray Train',
  axolotl: 'Axolotl',
} as const;

function commands({ target, workers }: Job): string {
  if (target === 'axolotl')
    return `axolotl train config.yaml                                   # one GPU
axolotl train config.yaml --launcher accelerate -- --num_processes ${workers}   # ${workers} GPUs: divide gradient_accumulation_steps by ${workers}`;
  const accelerate = `python train.py                                     # one GPU, or a CPU
accelerate launch --multi_gpu --num_processes ${workers} train.py   # ${workers} processes, a GPU each; without a GPU, on the CPU over gloo`;
  return target === 'accelerate'
    ? accelerate
    : `python train_ray.py --workers ${workers}                   # Ray on this machine, or the cluster of RAY_ADDRESS
python train_ray.py --workers ${workers} --gpu             # a GPU for every worker
${accelerate}`;
}

const OWN_ENGINE = `Every optimizer step takes the rows that \`steps.jsonl\` names, whatever the number of processes: they are dealt out, gradients are summed over all processes and divided by the trained tokens of the whole step, so that N workers take the steps of one. \`per_device_train_batch_size\` limits what a process computes at one time. With dropout the masks are other ones than in qlora train (torch draws them); all else is the same.

A run that was stopped goes on from the newest \`checkpoint-N\` in its folder when the same command is given again. These checkpoints have the layout of qlora train's, which can go on from them, too. On a GPU the base is NF4 with products in bfloat16; \`--dtype float32\` is slower and exact. On a CPU the NF4 values are held in float32. Several machines need a file system that all of them see.

| file | holds |
|---|---|
| \`rows.jsonl\`, \`eval_rows.jsonl\` | tokens and labels (-100: not trained), as the model sees them |
| \`steps.jsonl\` | every optimizer step: its rows, micro-batch by micro-batch, and its learning rate |
| \`start/\` | the adapter that the run starts with, tokenizer, chat template and, after a checkpoint, the optimizer's moments |
| \`job.json\` | options, parameters, and hashes of the above, which are checked |
| \`result/\` | what the run writes |`;

const AXOLOTL = `\`ordered_rows.jsonl\` has the rows in the order of the steps, epoch after epoch, tokenized, and \`config.yaml\` has them taken one after the other; \`start/\` is the adapter that the run starts with, with tokenizer and chat template. The Trainer fills the last step of an epoch with rows of the next one, which qlora train does not.`;

/** README.md of an exported project. */
export function projectReadme(job: Job): string {
  const after = job.first_step === 0 ? '' : `, from step ${job.first_step} on`;
  return `# A fine-tuning run for ${ENGINES[job.target]}

Written by qlorajs ${job.version}: ${job.total_steps} optimizer steps on ${job.base.name}${after}, ${job.examples} examples, learning rate ${job.options.learning_rate}, ${job.options.lr_scheduler_type}.

Python 3.10 or newer (tried with 3.11):

\`\`\`sh
pip install -r requirements.txt
${commands(job)}
\`\`\`

The base is looked for at \`${job.base.path}\`; ${job.target === 'axolotl' ? '`base_model` in config.yaml' : '`--base`'} names another place or a Hub id.

When it is finished:

\`\`\`sh
qlora import-run THIS_FOLDER --out my-adapter
qlora ask --adapter my-adapter "…"
\`\`\`

${job.target === 'axolotl' ? AXOLOTL : OWN_ENGINE}
`;
}
