import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { neutralTexts, topicKeywords, tutorDataset } from '@qlorajs/tutor-dataset';
import { earlierVoices } from '../eval/earlier.js';
import { readKeywords } from '../eval/keyword-file.js';
import { type EvalPlan, measureVoice } from '../eval/measure.js';
import type { VoiceRecord } from '../eval/records.js';
import { reportHtml } from '../eval/report-html.js';
import { type EvalRow, readEvalRows } from '../eval/rows.js';
import { withCode } from '../eval/run-code.js';
import { summarize, type VoiceSummary } from '../eval/summary.js';
import { formatTable } from '../eval/table.js';
import { evalVoices } from '../eval/voices.js';
import { writeWhole } from '../io/atomic.js';
import { openOutput } from '../io/output-folder.js';
import { openSession } from '../model/session.js';
import { type EvalOptions, evalOptions } from '../options/eval-options.js';
import { EXIT } from '../report/failure.js';
import { onInterrupt } from '../report/interrupt.js';
import { createProgress, type Progress } from '../report/progress.js';
import type { Ui } from '../report/ui.js';
import { VERSION } from '../version.js';
import { verb } from './verb.js';

/** What the files and the JSON document say about how the figures were made. */
function setup(options: EvalOptions, base: string, device: string) {
  const { data, neutral, limit, maxNewTokens, temperature, topP, topK } = options;
  return {
    ...{ version: VERSION, base, device, load_in_4bit: options.loadIn4bit },
    ...{ data: data ?? 'tutor-dataset test.jsonl', limit },
    neutral: neutral ?? 'tutor-dataset neutral.jsonl',
    generation: {
      ...{ max_new_tokens: maxNewTokens, temperature, top_p: topP, top_k: topK },
      repetition_penalty: options.repetitionPenalty,
      penalize_prompt: options.penalizePrompt,
    },
    bootstrap: { resamples: options.resamples, confidence: options.confidence },
    seed: options.seed,
  };
}

async function planOf(
  options: EvalOptions,
  base: string,
  ui: Ui,
  progress: Progress,
  signal: AbortSignal,
): Promise<EvalPlan> {
  const dataFile = options.data ?? fileURLToPath(tutorDataset.test);
  const neutralFile = options.neutral ?? fileURLToPath(neutralTexts);
  const given = options.keywords === undefined ? null : await readKeywords(options.keywords);
  const keywordsOf = ({ topic, language }: EvalRow): readonly string[] => {
    if (topic === null) return [];
    if (given !== null) return given[topic] ?? [];
    return topicKeywords[topic]?.[language === 'en' ? 'en' : 'es'] ?? [];
  };
  return {
    rows: await readEvalRows(dataFile, options.limit, ui),
    neutral: neutralFile === 'none' ? [] : await readEvalRows(neutralFile, 0, ui),
    ...{ dataFile, neutralFile, base, loadIn4bit: options.loadIn4bit, signal, ui },
    answers: options.generate
      ? { generation: { ...options, system: undefined }, keywordsOf, signal }
      : null,
    onProgress: (voice, what, share) => progress.show(`${voice}: ${what}`, share),
  };
}

async function writeReport(
  folder: string,
  about: ReturnType<typeof setup>,
  summaries: readonly VoiceSummary[],
  records: readonly VoiceRecord[],
): Promise<void> {
  const { data, base, device, load_in_4bit, generation, bootstrap, seed } = about;
  const how = Object.entries(generation).map(([key, value]) => `${key} ${value}`);
  const facts = [
    `${summaries[0].chats} rows of ${data}, ${summaries[0].answers} answers; base ${base}${load_in_4bit ? ' in NF4' : ''} on ${device}`,
    `answers: ${how.join(', ')}; the same for every voice`,
    `in brackets: ${100 * bootstrap.confidence} % intervals, bootstrap over rows, ${bootstrap.resamples} resamples, seed ${seed}`,
    `qlora ${about.version}, ${new Date().toISOString().slice(0, 10)}`,
  ];
  const title = `Evaluation: ${summaries.map(({ name }) => name).join(', ')}`;
  await writeWhole(join(folder, 'report.html'), reportHtml({ title, facts }, summaries, records));
  const document = { ...about, voices: summaries, records };
  await writeWhole(join(folder, 'eval.json'), `${JSON.stringify(document, null, 1)}\n`);
}

export const evaluate = verb({
  name: 'eval',
  summary: 'the base and adapters side by side on held-out chats, with intervals',
  options: evalOptions,
  async run(options, ui) {
    const { signal, dispose } = onInterrupt(() => ui.info('stopping; once more ends at once'));
    const progress = createProgress(ui);
    const folders = options.adapter ?? [];
    const output =
      options.out === undefined
        ? null
        : await openOutput(options.out, { bytes: 4e6, reuse: true, remedy: '' });
    const session = await openSession(options, folders, ui, { signal });
    try {
      const plan = await planOf(options, session.base.name, ui, progress, signal);
      const measured: VoiceRecord[] = [];
      for (const voice of await evalVoices(session, folders)) {
        measured.push(await measureVoice(session.model, voice, plan));
        progress.clear();
        ui.info(`${voice.name}: measured`);
      }
      const onBlock = (share: number) => progress.show('running code', share);
      const seconds = options.codeTimeout;
      const own = options.runCode ? await withCode(measured, { seconds, onBlock }) : measured;
      const records = [...own];
      for (const file of options.against ?? [])
        records.push(...(await earlierVoices(file, own[0])));
      const summaries = summarize(records, options);
      const about = setup(options, session.base.name, session.backend.name);
      ui.print(`${formatTable(summaries)}\n`);
      if (output !== null) {
        await writeReport(output.path, about, summaries, records);
        ui.print(`\n${join(output.path, 'report.html')}\n${join(output.path, 'eval.json')}\n`);
      }
      ui.result({ ...about, voices: summaries });
      return EXIT.done;
    } catch (error) {
      if (!signal.aborted) throw error;
      ui.warn('interrupted: nothing was written');
      return EXIT.interrupted;
    } finally {
      progress.clear();
      dispose();
      await output?.discardIfEmpty();
      await session.close();
    }
  },
});
