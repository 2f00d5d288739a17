import { basename, join } from 'node:path';
import { required, text } from '@qlorajs/session';
import { writeWhole } from '../io/atomic.js';
import { openOutput } from '../io/output-folder.js';
import { EXIT } from '../report/failure.js';
import { onInterrupt } from '../report/interrupt.js';
import type { Ui } from '../report/ui.js';
import { parallelPlot } from '../sweep/parallel-plot.js';
import { ofRay, rayOptions } from '../sweep/ray-options.js';
import {
  formatCsv,
  formatResults,
  ranked,
  type TrialFailure,
  type TrialResult,
} from '../sweep/results.js';
import { type RayOptions, runOnRay } from '../sweep/run-on-ray.js';
import { finishedTrial, runTrial } from '../sweep/run-trial.js';
import { readSpec } from '../sweep/spec.js';
import { type Trial, trialsOf } from '../sweep/trials.js';
import { verb } from './verb.js';

const describe = (trial: Trial) =>
  Object.entries(trial.parameters)
    .map(([key, value]) => `${key} ${JSON.stringify(value)}`)
    .join(', ');

/** What is known so far, in files; written after every trial. */
async function writeResults(
  out: string,
  title: string,
  results: readonly TrialResult[],
  failures: readonly TrialFailure[],
): Promise<void> {
  const best = ranked(results);
  const document = { results: best, failures };
  await writeWhole(join(out, 'results.json'), `${JSON.stringify(document, null, 2)}\n`);
  if (best.length === 0) return;
  await writeWhole(join(out, 'results.csv'), formatCsv(best));
  await writeWhole(join(out, 'results.svg'), parallelPlot(best, title));
}

const ranIn = ({ eval_loss, seconds }: TrialResult) =>
  `eval_loss ${eval_loss.toFixed(4)}, ${seconds.toFixed(0)} s`;

/** A trial to run, its folder, and what it is called. */
interface LabelledTrial {
  readonly trial: Trial;
  readonly folder: string;
  readonly label: string;
}

/** How trials are run. */
interface Runner {
  readonly ui: Ui;
  readonly signal: AbortSignal;
  /** Takes each trial's end, those that an earlier sweep finished first. */
  readonly done: (result: TrialResult | TrialFailure) => Promise<void>;
}

/** The trials that are left; those that an earlier sweep finished are kept. */
async function unfinished(
  trials: readonly Trial[],
  out: string,
  { ui, done }: Runner,
): Promise<LabelledTrial[]> {
  const left: LabelledTrial[] = [];
  for (const [i, trial] of trials.entries()) {
    const folder = join(out, trial.name);
    const label = `trial ${i + 1}/${trials.length} (${describe(trial)})`;
    const kept = await finishedTrial(folder);
    if (kept === null) left.push({ trial, folder, label });
    else {
      ui.info(`${label}: kept, eval_loss ${kept.eval_loss.toFixed(4)}`);
      await done(kept);
    }
  }
  return left;
}

/** One after the other, here. @returns whether it came to its end */
async function runHere(trials: readonly LabelledTrial[], runner: Runner): Promise<boolean> {
  const { ui, signal, done } = runner;
  for (const { trial, folder, label } of trials) {
    ui.info(label);
    const outcome = await runTrial(trial, folder, signal, ui.verbose);
    if (outcome.kind === 'interrupted') return false;
    if (outcome.kind === 'failed') ui.warn(`${label}: ${outcome.failure.error}`);
    else ui.info(`  ${ranIn(outcome.result)}`);
    await done(outcome.kind === 'failed' ? outcome.failure : outcome.result);
  }
  return true;
}

/** As Ray tasks. @returns whether all came to their end */
function runThere(
  trials: readonly LabelledTrial[],
  ray: RayOptions,
  { ui, signal, done }: Runner,
): Promise<boolean> {
  ui.info(`${trials.length} trials as Ray tasks`);
  return runOnRay(trials, ray, signal, async ({ label }, outcome, attempts) => {
    const again = attempts > 1 ? `, attempt ${attempts}` : '';
    if (outcome.kind === 'failed') ui.warn(`${label}${again}: ${outcome.failure.error}`);
    else if (outcome.kind === 'done') ui.info(`${label}: ${ranIn(outcome.result)}${again}`);
    if (outcome.kind !== 'interrupted')
      await done(outcome.kind === 'failed' ? outcome.failure : outcome.result);
  });
}

export const sweep = verb({
  name: 'sweep',
  summary: 'train over a grid or a random search of options, and compare the held-out losses',
  argument: { name: 'file', describe: 'YAML: method, trials, seed, train, parameters' },
  options: {
    out: required(text('DIR'), 'folder for the trials and the results'),
    ...rayOptions,
  },
  async run(options, ui, file) {
    const { out } = options;
    const spec = await readSpec(file);
    const trials = trialsOf(spec);
    await openOutput(out, { bytes: 0, reuse: true, remedy: '' });
    const { signal, dispose } = onInterrupt(() => ui.warn('stopping after this step'));
    const results: TrialResult[] = [];
    const failures: TrialFailure[] = [];
    const done = async (each: TrialResult | TrialFailure) => {
      if ('error' in each) failures.push(each);
      else results.push(each);
      await writeResults(out, `${basename(file)}: ${spec.method}`, results, failures);
    };
    try {
      const runner = { ui, signal, done };
      const left = await unfinished(trials, out, runner);
      const complete = await (options.on === 'ray'
        ? runThere(left, ofRay(options, ui.verbose), runner)
        : runHere(left, runner));
      if (results.length > 0) ui.print(`${formatResults(ranked(results))}\n`);
      const { length } = results;
      if (!complete)
        ui.warn(`interrupted after ${length} of ${trials.length} trials; run it again to go on`);
      const [best] = ranked(results);
      if (complete && best !== undefined)
        ui.print(`\nbest: ${join(out, best.name, 'adapter')}\n${join(out, 'results.svg')}\n`);
      ui.result({ out, trials: trials.length, complete, results: ranked(results), failures });
      if (!complete) return EXIT.interrupted;
      return failures.length > 0 ? EXIT.failed : EXIT.done;
    } finally {
      dispose();
    }
  },
});
