import { mkdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { required, text } from '@qlorajs/session';
import { writeWhole } from '../io/atomic.js';
import { openOutput } from '../io/output-folder.js';
import { EXIT } from '../report/failure.js';
import { onInterrupt } from '../report/interrupt.js';
import type { Ui } from '../report/ui.js';
import { parallelPlot } from '../sweep/parallel-plot.js';
import {
  formatCsv,
  formatResults,
  ranked,
  type TrialFailure,
  type TrialResult,
} from '../sweep/results.js';
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

/** Runs what is not finished. @returns whether it came to its end */
async function runAll(
  trials: readonly Trial[],
  out: string,
  ui: Ui,
  signal: AbortSignal,
  done: (result: TrialResult | TrialFailure) => Promise<void>,
): Promise<boolean> {
  for (const [i, trial] of trials.entries()) {
    const folder = join(out, trial.name);
    const kept = await finishedTrial(folder);
    const label = `trial ${i + 1}/${trials.length} (${describe(trial)})`;
    if (kept !== null) {
      ui.info(`${label}: kept, eval_loss ${kept.eval_loss.toFixed(4)}`);
      await done(kept);
      continue;
    }
    ui.info(label);
    await mkdir(folder, { recursive: true });
    const outcome = await runTrial(trial, folder, signal, ui.verbose);
    if (outcome.kind === 'interrupted') return false;
    if (outcome.kind === 'failed') ui.warn(`${label}: ${outcome.failure.error}`);
    else
      ui.info(
        `  eval_loss ${outcome.result.eval_loss.toFixed(4)}, ${outcome.result.seconds.toFixed(0)} s`,
      );
    await done(outcome.kind === 'failed' ? outcome.failure : outcome.result);
  }
  return true;
}

export const sweep = verb({
  name: 'sweep',
  summary: 'train over a grid or a random search of options, and compare the held-out losses',
  argument: { name: 'file', describe: 'YAML: method, trials, seed, train, parameters' },
  options: { out: required(text('DIR'), 'folder for the trials and the results') },
  async run({ out }, ui, file) {
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
      const complete = await runAll(trials, out, ui, signal, done);
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
