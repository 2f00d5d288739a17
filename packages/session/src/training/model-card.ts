import { formatBytes, formatCount, formatDuration, formatRate } from '../format.js';
import type { TrainingOptions } from '../options/training-options.js';

/** What a run came to. */
export interface RunSummary {
  readonly steps: number;
  readonly epochs: number;
  readonly seconds: number;
  readonly tokens: number;
  readonly tokensPerSecond: number;
  readonly trainLoss: number;
  /** Steps whose loss or gradients were not finite. */
  readonly skippedSteps: number;
  readonly firstLoss: number;
  readonly lastLoss: number;
  readonly evaluation: { readonly before: number | null; readonly after: number } | null;
  readonly examples: number;
  readonly trainableParameters: number;
  readonly allParameters: number;
  readonly adapterBytes: number;
  /** 0: another engine trained, and did not say. */
  readonly peakBackendBytes: number;
  /** null: the host does not say. */
  readonly peakResidentBytes: number | null;
  readonly backend: string;
}

function table(rows: readonly (readonly [string, string])[]): string {
  return ['| | |', '|---|---|', ...rows.map(([name, value]) => `| ${name} | ${value} |`)].join(
    '\n',
  );
}

/** What it took; nothing where another engine did not say. */
function memory({ peakBackendBytes, peakResidentBytes, backend }: RunSummary): [string, string][] {
  if (peakBackendBytes === 0) return [];
  const ofProcess =
    peakResidentBytes === null ? '' : `, ${formatBytes(peakResidentBytes)} of the process`;
  return [
    ['peak memory', `${formatBytes(peakBackendBytes)} on the ${backend} backend${ofProcess}`],
  ];
}

function figures(summary: RunSummary): string {
  const { evaluation } = summary;
  const share = (100 * summary.trainableParameters) / summary.allParameters;
  const held =
    evaluation &&
    `${evaluation.before === null ? '' : `${evaluation.before.toFixed(4)} before, `}${evaluation.after.toFixed(4)} after (perplexity ${Math.exp(evaluation.after).toFixed(2)})`;
  return table([
    ['examples', formatCount(summary.examples)],
    ['steps', `${summary.steps} (${summary.epochs.toFixed(2)} epochs)`],
    [
      'training loss',
      `${summary.firstLoss.toFixed(4)} at first, ${summary.lastLoss.toFixed(4)} at the end`,
    ],
    ...(held === null ? [] : [['held-out loss', held] as const]),
    ...(summary.skippedSteps === 0
      ? []
      : [['skipped steps', `${summary.skippedSteps}, not finite`] as const]),
    ['tokens', `${formatCount(summary.tokens)} at ${summary.tokensPerSecond.toFixed(0)} a second`],
    ['time', formatDuration(summary.seconds)],
    ['trainable parameters', `${formatCount(summary.trainableParameters)} (${share.toFixed(4)} %)`],
    ['adapter', formatBytes(summary.adapterBytes)],
    ...memory(summary),
  ]);
}

function settings(options: TrainingOptions): string {
  const quantization = options.loadIn4bit
    ? `NF4${options.bnb4bitUseDoubleQuant ? ' with double quantization' : ''}`
    : 'none';
  const targets = [options.targetModules].flat().join(', ');
  const batch = options.perDeviceTrainBatchSize * options.gradientAccumulationSteps;
  return table([
    ['r, lora_alpha, lora_dropout', `${options.r}, ${options.loraAlpha}, ${options.loraDropout}`],
    ['target_modules', targets],
    ['quantization of the base', quantization],
    ['learning_rate', `${formatRate(options.learningRate)}, ${options.lrSchedulerType}`],
    ['rows an optimizer step', String(batch)],
    [
      'optim, weight_decay, max_grad_norm',
      `${options.optim}, ${options.weightDecay}, ${options.maxGradNorm}`,
    ],
    ['seed', String(options.seed)],
  ]);
}

/**
 * README.md of an adapter folder: a model card with the figures of its run.
 * @param trainedBy `with qlorajs 1.0.0`
 */
export function modelCard(
  base: { readonly name: string },
  options: TrainingOptions,
  summary: RunSummary,
  trainedBy: string,
): string {
  const base_model = JSON.stringify(base.name);
  return `---
base_model: ${base_model}
library_name: peft
pipeline_tag: text-generation
tags:
- lora
- qlora
- qlorajs
---

# A LoRA adapter for ${base.name}

Trained ${trainedBy}.

## Figures

${figures(summary)}

![losses](loss.svg)

## Settings

${settings(options)}

## Use

\`\`\`sh
qlora ask --adapter THIS_FOLDER "…"
\`\`\`

\`\`\`python
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

base = AutoModelForCausalLM.from_pretrained(${base_model})
model = PeftModel.from_pretrained(base, "THIS_FOLDER")
tokenizer = AutoTokenizer.from_pretrained("THIS_FOLDER")
\`\`\`
`;
}
