import { spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { writeWhole } from '../io/atomic.js';
import { kindOf, readJson } from '../io/read.js';
import { resultOf, type TrialFailure, type TrialResult } from './results.js';
import type { Trial } from './trials.js';

/** How a trial ended. */
export type TrialOutcome =
  | { readonly kind: 'done'; readonly result: TrialResult }
  | { readonly kind: 'failed'; readonly failure: TrialFailure }
  | { readonly kind: 'interrupted' };

/** The result of a trial that an earlier run finished; null: there is none. */
export async function finishedTrial(folder: string): Promise<TrialResult | null> {
  const file = join(folder, 'trial.json');
  return (await kindOf(file)) === 'file' ? ((await readJson(file)) as TrialResult) : null;
}

/** How a trial's command ended. */
export interface Ended {
  /** null: it was killed. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Writes a trial's options into its folder. @returns the arguments of `qlora` that train it */
export async function trialArguments(trial: Trial, folder: string): Promise<string[]> {
  await mkdir(folder, { recursive: true });
  const config = join(folder, 'options.yaml');
  await writeWhole(config, stringify(trial.options));
  const paths = ['--config', config, '--out', join(folder, 'adapter')];
  // Goes on from a checkpoint where there is one, and replaces what was left without a result.
  return ['train', ...paths, '--resume-from-checkpoint', 'auto', '--overwrite', '--json'];
}

/** What a trial came to; the result of one that is done goes into its folder. */
export async function outcomeOf(
  trial: Trial,
  folder: string,
  { code, stdout, stderr }: Ended,
): Promise<TrialOutcome> {
  if (code === 130) return { kind: 'interrupted' };
  if (code !== 0) {
    const lines = stderr.trim().split('\n');
    const error = lines.findLast((line) => line.startsWith('error')) ?? lines.at(-1) ?? '';
    const { name, parameters } = trial;
    const ended = code === null ? 'killed' : `exit ${code}`;
    return { kind: 'failed', failure: { name, parameters, error: `${ended}: ${error}` } };
  }
  const result = resultOf(trial, JSON.parse(stdout));
  await writeWhole(join(folder, 'trial.json'), `${JSON.stringify(result, null, 2)}\n`);
  return { kind: 'done', result };
}

function train(args: readonly string[], signal: AbortSignal, show: boolean): Promise<Ended> {
  const child = spawn(process.execPath, [process.argv[1], ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr]: string[][] = [[], []];
  child.stdout.setEncoding('utf8').on('data', (text: string) => stdout.push(text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr.push(text);
    if (show) process.stderr.write(text);
  });
  // A terminal's Ctrl-C reaches the child by itself, but a signal to this process alone does not.
  const stop = () => child.kill('SIGTERM');
  signal.addEventListener('abort', stop);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      signal.removeEventListener('abort', stop);
      resolve({ code, stdout: stdout.join(''), stderr: stderr.join('') });
    });
  });
}

/** Trains one trial in a process of its own; one that was interrupted goes on from its checkpoint. */
export async function runTrial(
  trial: Trial,
  folder: string,
  signal: AbortSignal,
  show: boolean,
): Promise<TrialOutcome> {
  const ended = await train(await trialArguments(trial, folder), signal, show);
  return signal.aborted ? { kind: 'interrupted' } : outcomeOf(trial, folder, ended);
}
