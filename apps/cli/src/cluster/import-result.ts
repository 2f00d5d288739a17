import { basename } from 'node:path';
import { formatPeftConfig } from '@qlorajs/lora';
import { writeSafetensors } from '@qlorajs/safetensors';
import {
  type FolderContent,
  formatTrainerState,
  modelCard,
  planRun,
  plotLosses,
  type RunSummary,
  stateOptions,
} from '@qlorajs/session';
import { LOG_FILE } from '../training/run-log.js';
import { VERSION } from '../version.js';
import { optionsOfJob } from './job.js';
import type { ProjectFolder } from './project-files.js';
import type { RunResult } from './read-result.js';
import { jsonLines } from './row-table.js';

const ENGINES = { accelerate: 'Accelerate', ray: 'Ray Train', axolotl: 'Axolotl' } as const;

function summaryOf({ job }: ProjectFolder, result: RunResult, bytes: number): RunSummary {
  const { figures, loop, records, seconds } = result;
  const trained = job.parameters
    .map(({ shape }) => shape.reduce((product, size) => product * size, 1))
    .reduce((sum, each) => sum + each, 0);
  const losses = records.flatMap(({ loss }) => loss ?? []);
  const tokens = records.reduce((sum, record) => sum + (record.tokens ?? 0), 0);
  const evaluations = figures.entries.flatMap(({ eval_loss }) => eval_loss ?? []);
  const endsWithBest = job.options.load_best_model_at_end || job.options.early_stopping_patience;
  const after = endsWithBest ? figures.best?.loss : evaluations.at(-1);
  return {
    ...{ seconds, tokens },
    steps: loop.step,
    epochs: figures.epoch,
    tokensPerSecond: seconds > 0 ? tokens / seconds : 0,
    trainLoss: loop.lossSum / Math.max(1, loop.step - loop.skippedSteps),
    skippedSteps: loop.skippedSteps,
    firstLoss: losses[0] ?? Number.NaN,
    lastLoss: losses.at(-1) ?? Number.NaN,
    evaluation: after === undefined ? null : { before: null, after },
    examples: job.examples,
    trainableParameters: trained,
    allParameters: job.base.parameters + trained,
    adapterBytes: bytes,
    peakBackendBytes: result.memoryBytes,
    peakResidentBytes: 0,
    backend: result.engine,
  };
}

/** A finished run of another engine as `qlora train` would have left it. */
export function importedFiles(
  project: ProjectFolder,
  result: RunResult,
  out: string,
): { readonly files: FolderContent; readonly summary: RunSummary } {
  const { job, config, tokenizer } = project;
  const options = optionsOfJob(job);
  const tensors = job.parameters.map(({ name }) => {
    const { shape, values } = result.tensors.get(name)!;
    return [name, { dtype: 'F32' as const, shape, data: values }] as const;
  });
  const model = writeSafetensors(Object.fromEntries(tensors), { format: 'pt' });
  const summary = summaryOf(project, result, model.length);
  const versions = result.versions === '' ? '' : `; ${result.versions}`;
  const trainedBy = `by ${ENGINES[job.target]} (${result.engine}${versions}), from a run that qlorajs ${job.version} handed over; brought home by qlorajs ${VERSION}`;
  const { figures, loop } = result;
  const plan = planRun(options, job.batches_per_epoch);
  const entry = {
    epoch: figures.epoch,
    step: figures.globalStep,
    train_loss: summary.trainLoss,
    train_runtime: summary.seconds,
  };
  const files = {
    ...tokenizer,
    'adapter_config.json': formatPeftConfig({ ...config, baseModelNameOrPath: job.base.name }),
    'adapter_model.safetensors': model,
    [LOG_FILE]: jsonLines(result.records),
    'README.md': modelCard(job.base, options, summary, trainedBy),
    'trainer_state.json': formatTrainerState(
      figures,
      stateOptions(options, plan, summary.allParameters),
      { loop, bestFolder: null, summary: entry },
    ),
    'loss.svg': plotLosses(figures.entries, `${basename(out)} on ${job.base.name}`),
  };
  return { files, summary };
}
