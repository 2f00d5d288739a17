import { QLoraError } from '@qlorajs/errors';
import type { FolderContent } from '@qlorajs/session';
import { stringify } from 'yaml';
import { readPythonFile } from '../python-files.js';
import { axolotlConfig, axolotlEvalRows, axolotlRows } from './axolotl.js';
import type { Job } from './job.js';
import { projectReadme } from './project-readme.js';
import type { RunContent } from './run-content.js';

/** Versions that the projects were tried with. */
const RAY = 'ray[train]==2.60.0';
const AXOLOTL = 'axolotl==0.19.0';

const PYTHON = ['train.py', 'worker.py', 'data.py', 'model.py', 'state.py', 'history.py'];

/** YAML in which Python's reader, too, takes 1e-8 for a number. */
function yaml11(value: object): string {
  return stringify(value).replace(/: (\d+)e-/g, ': $1.0e-');
}

async function pythonFiles(names: readonly string[]): Promise<FolderContent> {
  const texts = await Promise.all(names.map((name) => readPythonFile(`run/${name}`)));
  return Object.fromEntries(names.map((name, i) => [name, texts[i]]));
}

/** @throws QLoraError `EXPORT_UNSUPPORTED` for what Axolotl's configuration cannot say */
function checkAxolotl({ run }: RunContent): void {
  const { options, resumed, tokenizer } = run;
  const reasons = [
    resumed !== null && 'the optimizer states of a checkpoint (its Trainer reads its own alone)',
    options.packing && 'rows that were packed here',
    tokenizer === null && 'a base without a tokenizer',
    options.loadIn4bit && !options.bnb4bitUseDoubleQuant && 'NF4 without double quantization',
    options.loadBestModelAtEnd && 'load_best_model_at_end',
    options.earlyStoppingPatience > 0 && 'early_stopping_patience',
  ].filter((each) => each !== false);
  if (reasons.length === 0) return;
  throw new QLoraError(
    'EXPORT_UNSUPPORTED',
    `--to axolotl cannot take over ${reasons.join(', nor ')}; --to accelerate and --to ray can`,
    { details: { reasons } },
  );
}

/** The code, or the configuration, that an engine takes a run with, and how to start it. */
export async function engineFiles(job: Job, content: RunContent): Promise<FolderContent> {
  const readme = { 'README.md': projectReadme(job) };
  if (job.target === 'axolotl') {
    checkAxolotl(content);
    return {
      ...readme,
      'requirements.txt': `${AXOLOTL}\n`,
      'config.yaml': yaml11(axolotlConfig(job, content)),
      'ordered_rows.jsonl': axolotlRows(content.rows, content.steps),
      ...axolotlEvalRows(content.run.evaluation),
    };
  }
  const isRay = job.target === 'ray';
  const requirements = await readPythonFile('run/requirements.txt');
  return {
    ...readme,
    ...(await pythonFiles(isRay ? [...PYTHON, 'train_ray.py'] : PYTHON)),
    'requirements.txt': isRay ? `${requirements}${RAY}\n` : requirements,
  };
}
