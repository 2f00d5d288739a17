import { join } from 'node:path';
import { type LoraConfig, type PeftAdapterFiles, readPeftAdapter } from '@qlorajs/lora';
import { folderSource } from '../io/file-source.js';
import { kindOf } from '../io/read.js';
import { checkpointSteps } from '../training/checkpoint.js';
import type { ProjectFolder } from './project-files.js';
import { readOwnLog } from './result-log.js';
import { type RunReport, resultError } from './run-report.js';
import { readTrainerLog } from './trainer-log.js';

/** What came back from another engine, checked against what was handed over. */
export interface RunResult extends RunReport {
  readonly tensors: PeftAdapterFiles['tensors'];
}

async function checkFinished(folder: string): Promise<void> {
  if ((await kindOf(join(folder, 'adapter_config.json'))) === 'file') return;
  const last = (await checkpointSteps(folder)).at(-1);
  throw resultError(
    'RESULT_MISSING',
    last === undefined
      ? `${folder} has no adapter_config.json: there is no finished run; start it as the project's README says, or give its folder with --result`
      : `${folder}: the run is not finished, its last checkpoint is that of step ${last}; give the command that started it again, and it goes on`,
    { folder, lastCheckpoint: last ?? null },
  );
}

const set = (names: readonly string[] | string | null) =>
  Array.isArray(names) ? [...names].sort() : names;

/** What of a configuration shapes the adapter, in one form. */
function shapeOf(config: LoraConfig): Record<string, unknown> {
  return {
    r: config.r,
    lora_alpha: config.loraAlpha,
    target_modules: set(config.targetModules),
    exclude_modules: set(config.excludeModules),
    rank_pattern: config.rankPattern,
    alpha_pattern: config.alphaPattern,
    use_rslora: config.useRslora,
    use_dora: config.useDora,
    modules_to_save: set(config.modulesToSave),
    trainable_token_indices: config.trainableTokenIndices,
  };
}

function checkConfig({ config }: ProjectFolder, found: LoraConfig, folder: string): void {
  const [expected, got] = [shapeOf(config), shapeOf(found)];
  const differing = Object.keys(expected).filter(
    (key) => JSON.stringify(expected[key]) !== JSON.stringify(got[key]),
  );
  if (differing.length === 0) return;
  const said = differing.map(
    (key) => `${key} is ${JSON.stringify(got[key])}, not ${JSON.stringify(expected[key])}`,
  );
  throw resultError(
    'RESULT_MISMATCH',
    `${folder}/adapter_config.json is of another adapter than the project's: ${said.join('; ')}; give the result of this project`,
    { differing },
  );
}

function checkTensors({ job }: ProjectFolder, { tensors }: PeftAdapterFiles, folder: string): void {
  const expected = new Map(job.parameters.map(({ name, shape }) => [name, shape]));
  const problems = [
    ...[...expected].flatMap(([name, shape]) => {
      const found = tensors.get(name);
      if (found === undefined) return [`${name} is missing`];
      if (String(found.shape) !== String(shape))
        return [`${name} is [${found.shape}], not [${shape}]`];
      const bad = found.values.findIndex((value) => !Number.isFinite(value));
      return bad < 0 ? [] : [`${name} holds ${found.values[bad]} at ${bad}`];
    }),
    ...[...tensors.keys()].flatMap((name) =>
      expected.has(name) ? [] : [`${name} is not expected`],
    ),
  ];
  if (problems.length === 0) return;
  const more = problems.length > 3 ? ` and ${problems.length - 3} more` : '';
  throw resultError(
    'RESULT_MISMATCH',
    `${folder}/adapter_model.safetensors is not the adapter of this project: ${problems.slice(0, 3).join('; ')}${more}; train it again, or give the result of this project`,
    { problems },
  );
}

/**
 * Reads and checks the result of a project: adapter, configuration, log.
 * @throws QLoraError `RESULT_MISSING`, `RESULT_MISMATCH`, `RESULT_BROKEN`, and what reading a PEFT folder throws
 */
export async function readResult(project: ProjectFolder, folder: string): Promise<RunResult> {
  await checkFinished(folder);
  const files = await readPeftAdapter(folderSource(folder));
  checkConfig(project, files.config, folder);
  checkTensors(project, files, folder);
  const read = project.job.target === 'axolotl' ? readTrainerLog : readOwnLog;
  return { ...(await read(project, folder)), tensors: files.tensors };
}
