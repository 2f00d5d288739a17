import { hasRelaxedSimd } from '@qlorajs/compute-wasm';
import { QLoraError } from '@qlorajs/errors';
import type { TrainingArgs, TrainingOptions } from '@qlorajs/session';
import { VERSION } from '../version.js';
import type { DataHashes } from './data.js';

/** Options that another value of makes no other run: where things lie, what is told, when it stops. */
const FREE = [
  'base', // told by its files
  'data', // told by its content
  'evalData',
  'initAdapter', // a resumed run starts from the checkpoint's adapter
  'chatTemplate', // told by what the rows became
  'out',
  'overwrite',
  'resumeFromCheckpoint',
  'saveSteps',
  'saveTotalLimit',
  'loggingSteps',
  'reportTo',
  'maxSkippedSteps',
  'gradientCheckpointing', // recomputes the same numbers
  'threads',
  'vramBudget',
  'autoFit',
  'baseOffload', // moves the same numbers
  'offloadFolder',
  'json',
  'quiet',
  'verbose',
] as const satisfies readonly (keyof TrainingOptions | 'json' | 'quiet' | 'verbose')[];

/** What leaves it the same run but may end in other bytes or later; another value is told. */
const TOLD = [
  'numTrainEpochs',
  'maxSteps',
  'backend',
  'gpujsMode',
  'relaxedSimd',
  'version',
] as const;

/** What a checkpoint records of options, base and data. */
export function trainingArgs(
  options: TrainingOptions,
  hashes: DataHashes,
  baseFiles: Readonly<Record<string, string>>,
): TrainingArgs {
  // The CPU engine rounds differently with relaxed SIMD, which depends on the Node that runs.
  const relaxedSimd = hasRelaxedSimd();
  return { ...options, ...hashes, baseFiles, relaxedSimd, version: VERSION };
}

function text(value: unknown): string {
  return JSON.stringify(value) ?? 'unset';
}

function changed(keys: readonly string[], saved: TrainingArgs, now: TrainingArgs): string[] {
  return keys
    .filter((key) => text(saved[key]) !== text(now[key]))
    .map((key) => `${key} was ${text(saved[key])} and is ${text(now[key])}`);
}

/** Which files of the base are others than they were. */
function changedFiles(saved: TrainingArgs, now: TrainingArgs): string[] {
  const [before, after] = [saved, now].map(
    ({ baseFiles }) => (baseFiles ?? {}) as Record<string, string>,
  );
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .filter((name) => before[name] !== after[name])
    .sort();
  if (names.length === 0) return [];
  return [
    `the base is another one (was ${text(saved.base)}, is ${text(now.base)}): ${names.join(', ')} changed`,
  ];
}

/** What the data is told by, in words. */
const DATA = {
  dataSha256: 'the rows of --data have changed',
  evalDataSha256: 'the rows of --eval-data have changed',
  examplesSha256: 'the rows become other tokens (chat template, tokenizer or version)',
} as const;

function changedData(saved: TrainingArgs, now: TrainingArgs): string[] {
  const differing = Object.entries(DATA).filter(([key]) => saved[key] !== now[key]);
  // Other rows are other tokens: said once.
  const told =
    differing.length > 1 ? differing.filter(([key]) => key !== 'examplesSha256') : differing;
  return told.map(([key, words]) => `${words} (sha256 was ${saved[key]}, is ${now[key]})`);
}

/**
 * Compares a run with the one that it resumes.
 * @returns differences that leave it the same run, to be told
 * @throws QLoraError `RESUME_MISMATCH` when another run would come of it
 */
export function checkSameRun(saved: TrainingArgs, now: TrainingArgs): string[] {
  const apart = new Set<string>([...FREE, ...TOLD, ...Object.keys(DATA), 'baseFiles']);
  const keys = [...new Set([...Object.keys(saved), ...Object.keys(now)])];
  const problems = [
    ...changed(
      keys.filter((key) => !apart.has(key)),
      saved,
      now,
    ),
    ...changedFiles(saved, now),
    ...changedData(saved, now),
  ];
  if (problems.length > 0)
    throw new QLoraError(
      'RESUME_MISMATCH',
      `this is not the run that the checkpoint belongs to: ${problems.join('; ')}; give the same base, options and data, or start anew without --resume-from-checkpoint`,
      { details: { problems } },
    );
  return changed(TOLD, saved, now);
}
