import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { QLoraError } from '@qlorajs/errors';
import { pythonFile } from '../python-files.js';
import { type Ended, outcomeOf, type TrialOutcome, trialArguments } from './run-trial.js';
import type { Trial } from './trials.js';

/** Where and how Ray runs trials. */
export interface RayOptions {
  /** A Python that can import ray. */
  readonly python: string;
  /** Of a cluster; undefined: that of RAY_ADDRESS, else Ray is started here. */
  readonly address: string | undefined;
  /** Trials at one time, where Ray is started here. */
  readonly workers: number;
  /** Of a trial. */
  readonly cpus: number;
  readonly gpus: number;
  /** How often a trial is tried again when its worker dies. */
  readonly maxRetries: number;
  /** The command on the nodes; undefined: this one. */
  readonly cli: string | undefined;
  /** Ray's own messages are shown. */
  readonly verbose: boolean;
}

/** A trial to run, and its folder. */
export interface PlacedTrial {
  readonly trial: Trial;
  readonly folder: string;
}

/** A line of the driver. */
interface EndedTrial extends Ended {
  readonly name: string;
  /** 2 and more: Ray tried it again. */
  readonly attempts: number;
}

async function planOf(trials: readonly PlacedTrial[], options: RayOptions): Promise<string> {
  const { address, workers, cpus, gpus, maxRetries, cli, verbose } = options;
  const command = cli === undefined ? [process.execPath, resolve(process.argv[1])] : [cli];
  const planned = [];
  for (const { trial, folder } of trials) {
    const place = resolve(folder);
    const args = await trialArguments(trial, place);
    const takesAll = trial.options.threads === undefined && gpus === 0;
    const threads = takesAll ? ['--threads', String(cpus)] : [];
    planned.push({ name: trial.name, folder: place, command: [...command, ...args, ...threads] });
  }
  return JSON.stringify({
    ...{ address: address ?? null, workers, cpus, gpus, verbose },
    max_retries: maxRetries,
    cwd: process.cwd(),
    trials: planned,
  });
}

function driverError(options: RayOptions, code: number | null, stderr: string): QLoraError {
  const last = stderr.trim().split('\n').at(-1) ?? '';
  const noRay = stderr.includes("No module named 'ray'");
  return new QLoraError(
    noRay ? 'SWEEP_RAY_MISSING' : 'SWEEP_RAY',
    noRay
      ? `--on ray: ${options.python} cannot import ray; pip install "ray==2.60.0", or name another Python with --python`
      : `--on ray: the driver ended with ${code === null ? 'a signal' : `exit ${code}`}: ${last}; run it again to go on, with --verbose to see what Ray says`,
    { kind: noRay ? 'input' : 'runtime', details: { python: options.python, code } },
  );
}

/**
 * Runs trials as Ray tasks that call the command; those whose worker dies are tried again, and go on
 * from their checkpoint.
 * @param done takes each trial as it ends
 * @returns whether all came to their end
 * @throws QLoraError `SWEEP_RAY_MISSING`, `SWEEP_RAY`
 */
export async function runOnRay<T extends PlacedTrial>(
  trials: readonly T[],
  options: RayOptions,
  signal: AbortSignal,
  done: (placed: T, outcome: TrialOutcome, attempts: number) => Promise<void>,
): Promise<boolean> {
  if (trials.length === 0) return true;
  const plan = await planOf(trials, options);
  const child = spawn(options.python, [pythonFile('sweep/ray_sweep.py')], { stdio: 'pipe' });
  const stderr: string[] = [];
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr.push(text);
    if (options.verbose) process.stderr.write(text);
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', (cause) =>
      reject(
        new QLoraError(
          'SWEEP_RAY_MISSING',
          `--on ray: ${options.python} cannot be started (${cause.message}); name a Python with ray with --python`,
          { details: { python: options.python }, cause },
        ),
      ),
    );
    child.on('close', resolve);
  });
  ended.catch(() => {}); // looked at below, when the lines are read
  const stop = () => child.kill('SIGTERM');
  signal.addEventListener('abort', stop);
  child.stdin.on('error', () => {}); // a driver that ended early says why on stderr
  child.stdin.end(plan);
  let complete = true;
  let left = trials.length;
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      const trial = JSON.parse(line) as EndedTrial;
      const placed = trials.find(({ trial: { name } }) => name === trial.name)!;
      const outcome = await outcomeOf(placed.trial, placed.folder, trial);
      left -= 1;
      if (outcome.kind === 'interrupted') complete = false;
      else await done(placed, outcome, trial.attempts);
    }
    const code = await ended;
    if (signal.aborted || code === 130) return false;
    if (code !== 0 || left > 0) throw driverError(options, code, stderr.join(''));
    return complete;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
