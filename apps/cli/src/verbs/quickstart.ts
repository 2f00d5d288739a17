import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Row } from '@qlorajs/dataset';
import { QLoraError } from '@qlorajs/errors';
import { phiNano } from '@qlorajs/phi-nano';
import {
  answer,
  backendOptions,
  formatBytes,
  formatDuration,
  generationOptions,
  type OptionsOf,
  option,
  type TrainingOptions,
  text,
  tokensOf,
  trainingOptions,
  type Voice,
  withDefaults,
} from '@qlorajs/session';
import { hasTutorFormat, quickstartQuestions, tutorDataset } from '@qlorajs/tutor-dataset';
import { EXIT } from '../report/failure.js';
import { onInterrupt } from '../report/interrupt.js';
import { createProgress } from '../report/progress.js';
import { paint, type Ui } from '../report/ui.js';
import type { Arrange } from '../training/data.js';
import { describeJob } from '../training/describe-job.js';
import { lastingRun } from '../training/lasting-run.js';
import { prepareTraining, type TrainingJob } from '../training/prepare.js';
import { verb } from './verb.js';

/** A model this small repeats itself without a penalty; on the prompt too it drives it off topic. */
const ANSWER = {
  ...withDefaults(generationOptions, {}),
  maxNewTokens: 300,
  repetitionPenalty: 1.2,
  penalizePrompt: false,
};

const quickstartOptions = {
  out: option(text('DIR'), 'tutor-algoritmos', 'folder for the adapter'),
  seed: trainingOptions.seed,
  max_steps: trainingOptions.max_steps,
  ...backendOptions,
};

/** Chats in Spanish that are learnt from, of the file's first ones: they are of every topic. */
const SPANISH_CHATS = 360;

function isSpanish(row: Row): boolean {
  return row.kind === 'chat' && row.messages[0].content === tutorDataset.systemPrompt;
}

/** Puts `others` evenly between `rows`, each behind its share of them. */
function spread(rows: readonly Row[], others: readonly Row[]): Row[] {
  const behind = (j: number) => Math.ceil(((j + 1) * rows.length) / others.length);
  const placed = [
    ...rows.map((row, i) => ({ row, at: i })),
    ...others.map((row, j) => ({ row, at: behind(j) - 0.5 })),
  ];
  return placed.sort((a, b) => a.at - b.at).map(({ row }) => row);
}

/** phi-nano knows no English, and learns its form from twice as many looks at its few chats. */
const arrange: Arrange = (rows, use) => {
  if (use === 'eval_data') return rows;
  const english = rows.filter((row) => !isSpanish(row));
  return spread(rows.filter(isSpanish).slice(0, SPANISH_CHATS), [...english, ...english]);
};

/** What a search on the validation chats found for phi-nano; see the lab notebook. */
function settings(given: OptionsOf<typeof quickstartOptions>): TrainingOptions {
  return withDefaults(trainingOptions, {
    ...given,
    base: phiNano.name,
    data: fileURLToPath(tutorDataset.train),
    evalData: fileURLToPath(tutorDataset.validation),
    overwrite: true,
    learningRate: 1e-3,
    loraplusLrRatio: 4,
    lrSchedulerType: 'linear',
    shuffle: false, // the order is `arrange`'s
    numTrainEpochs: 1,
    perDeviceTrainBatchSize: 1, // many small steps, and no padding
    gradientCheckpointing: false, // activations of a short chat are small
    saveSteps: 0,
  });
}

/** Answers the questions with the model as it is now. */
async function answers(
  job: TrainingJob,
  title: string,
  ui: Ui,
  signal: AbortSignal,
): Promise<string[]> {
  const { model, format, tokenizer } = job;
  if (format === null || tokenizer === null)
    throw new QLoraError('TOKENIZER_MISSING', 'phi-nano has lost its tokenizer', {
      kind: 'runtime',
    });
  const voice: Voice = {
    ...{ name: title, adapter: null, tokenizer, format },
    systemPrompt: tutorDataset.systemPrompt,
  };
  ui.print(`\n${paint('bold', title, process.stdout)}\n`);
  const texts: string[] = [];
  for (const question of quickstartQuestions) {
    ui.print(`\n${paint('cyan', `— ${question}`, process.stdout)}\n`);
    const system = { role: 'system', content: tutorDataset.systemPrompt };
    const ids = tokensOf(voice, [system, { role: 'user', content: question }]);
    const onText = (piece: string) => ui.print(piece);
    const result = await answer(model, voice, ids, ANSWER, { signal, onText });
    ui.print(result.finish_reason === 'stop' ? '\n' : ' …\n');
    signal.throwIfAborted();
    texts.push(result.answer);
  }
  return texts;
}

/** Mean loss over the validation chats. */
async function heldOutLoss({ model, evaluation }: TrainingJob): Promise<number> {
  let [lossSum, tokens] = [0, 0];
  for (const batch of evaluation?.batches(0) ?? []) {
    const loss = await model.evaluate(batch);
    lossSum += loss.lossSum;
    tokens += loss.tokens;
  }
  return lossSum / tokens;
}

async function tutor(options: TrainingOptions, ui: Ui, signal: AbortSignal): Promise<number> {
  const progress = createProgress(ui);
  const started = performance.now();
  const prepare = (given: TrainingOptions) => prepareTraining(given, ui, progress, signal, arrange);
  let job = await prepare(options);
  try {
    describeJob(job, ui);
    job.model.attach(null);
    const before = await answers(job, 'Antes: el modelo base · Before: the base model', ui, signal);
    job.model.attach(job.adapter);
    const lossBefore = await heldOutLoss(job);
    const run = await lastingRun(job, { ui, progress, signal, lossBefore, prepare });
    job = run.job;
    const { outcome } = run;
    if (outcome.interrupted) {
      ui.warn('interrupted');
      return EXIT.interrupted;
    }
    const after = await answers(job, 'Después: el tutor · After: the tutor', ui, signal);
    const { summary } = outcome;
    const lossAfter = summary.evaluation?.after ?? Number.NaN;
    const seconds = (performance.now() - started) / 1000;
    const folder = relative(process.cwd(), options.out) || '.';
    const command = process.env.QLORA_COMMAND ?? 'qlora';
    const how = `--adapter ${folder} --repetition-penalty ${ANSWER.repetitionPenalty} --no-penalize-prompt`;
    ui.print(`
held-out loss ${lossBefore.toFixed(3)} → ${lossAfter.toFixed(3)} nats a token (perplexity ${Math.exp(lossBefore).toFixed(1)} → ${Math.exp(lossAfter).toFixed(2)})
${summary.steps} steps in ${formatDuration(summary.seconds)} at ${summary.tokensPerSecond.toFixed(0)} tokens/s, ${formatDuration(seconds)} in all; peak memory of the process ${formatBytes(summary.peakResidentBytes)}
${options.out}/: a PEFT adapter of ${formatBytes(summary.adapterBytes)}

phi-nano muestra el camino; no es un tutor del que aprender. · phi-nano shows the way; do not learn from it.

Ahora · Next:
  ${command} ask ${how} "¿Qué es una cola?"
  ${command} chat ${how}
`);
    ui.result({
      out: options.out,
      questions: quickstartQuestions,
      before,
      after,
      after_in_tutor_format: after.map(hasTutorFormat),
      ...summary,
      total_seconds: seconds,
    });
    return EXIT.done;
  } finally {
    await job.close();
  }
}

export const quickstart = verb({
  name: 'quickstart',
  summary: 'fine-tune the included phi-nano on the included chats and see the difference',
  options: quickstartOptions,
  async run(given, ui) {
    const { signal, dispose } = onInterrupt(() => ui.warn('stopping after this step'));
    try {
      return await tutor(settings(given), ui, signal);
    } finally {
      dispose();
    }
  },
});
