import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { QLoraError } from '@qlorajs/errors';
import { type LoraConfig, parsePeftConfig } from '@qlorajs/lora';
import type { FolderContent } from '@qlorajs/session';
import { kindOf, readBytes, readJson, readText } from '../io/read.js';
import { type Job, parseJob } from './job.js';
import type { PlannedStep } from './record-steps.js';
import type { TokenRow } from './row-table.js';

/** An exported project, as it lies in its folder. */
export interface ProjectFolder {
  readonly path: string;
  readonly job: Job;
  /** Of the adapter that the run starts with. */
  readonly config: LoraConfig;
  readonly steps: readonly PlannedStep[];
  /** Tokens of each row. */
  readonly rowLengths: readonly number[];
  /** Tokenizer files and chat template of the adapter. */
  readonly tokenizer: FolderContent;
}

const TOKENIZER = /^start\/(tokenizer|vocab|merges|added_tokens|special_tokens|chat_template)/;

async function checkedFile(path: string, name: string, job: Job): Promise<Uint8Array> {
  const bytes = await readBytes(join(path, name));
  if (createHash('sha256').update(bytes).digest('hex') === job.files[name]) return bytes;
  throw new QLoraError(
    'JOB_BROKEN',
    `${join(path, name)} is not the file that was exported; give the project as qlora export-run wrote it`,
    { details: { file: name } },
  );
}

function parseLines(bytes: Uint8Array): unknown[] {
  const lines = new TextDecoder().decode(bytes).split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line));
}

/**
 * Reads an exported project.
 * @throws QLoraError `JOB_MISSING`, `JOB_BROKEN`
 */
export async function readProject(path: string): Promise<ProjectFolder> {
  const file = join(path, 'job.json');
  if ((await kindOf(file)) !== 'file')
    throw new QLoraError(
      'JOB_MISSING',
      `${path} has no job.json; give the folder that qlora export-run wrote`,
      { details: { folder: path } },
    );
  const job = parseJob(await readJson(file), file);
  const config = join(path, 'start/adapter_config.json');
  const rows = parseLines(await checkedFile(path, 'rows.jsonl', job)) as TokenRow[];
  const tokenizer: Record<string, Uint8Array> = {};
  for (const name of Object.keys(job.files).filter((each) => TOKENIZER.test(each)))
    tokenizer[name.slice('start/'.length)] = await checkedFile(path, name, job);
  return {
    ...{ path, job, tokenizer },
    config: parsePeftConfig(await readText(config), config).config,
    steps: parseLines(await checkedFile(path, 'steps.jsonl', job)) as PlannedStep[],
    rowLengths: rows.map(({ input_ids }) => input_ids.length),
  };
}
