import { setImmediate as turn } from 'node:timers/promises';
import type { PhiModel } from '@qlorajs/phi2-model';
import type { Ui } from '../report/ui.js';
import { type AnswerSettings, answerAll, tasksOf } from './answers.js';
import { rowLosses } from './losses.js';
import type { AnswerRecord, ChatRecord, NeutralRecord, VoiceRecord } from './records.js';
import type { EvalRow } from './rows.js';
import type { EvalVoice } from './voices.js';

/** What every voice is measured on, and how. */
export interface EvalPlan {
  readonly rows: readonly EvalRow[];
  readonly dataFile: string;
  readonly neutral: readonly EvalRow[];
  readonly neutralFile: string;
  readonly base: string;
  readonly loadIn4bit: boolean;
  /** null: losses alone. */
  readonly answers: Omit<AnswerSettings, 'onAnswer'> | null;
  readonly signal: AbortSignal;
  readonly ui: Ui;
  /** @param share done of this voice's work */
  readonly onProgress: (voice: string, what: string, share: number) => void;
}

/** Answers in the order of the tasks, handed out to their rows. */
function byRow(plan: EvalPlan, answers: readonly AnswerRecord[]): Map<EvalRow, AnswerRecord[]> {
  const found = new Map<EvalRow, AnswerRecord[]>();
  for (const [i, { row }] of tasksOf(plan.rows).entries())
    if (answers[i]) found.set(row, [...(found.get(row) ?? []), answers[i]]);
  return found;
}

/** Measures one voice: losses row by row, the neutral texts, then its answers. */
export async function measureVoice(
  model: PhiModel,
  voice: EvalVoice,
  plan: EvalPlan,
): Promise<VoiceRecord> {
  const { rows, neutral, ui, signal, onProgress } = plan;
  model.attach(voice.adapter);
  let read = 0;
  const context = (file: string) => ({
    ...{ file, ui },
    onRow: async () => {
      onProgress(voice.name, 'reading', ++read / (rows.length + neutral.length));
      signal.throwIfAborted();
      await turn(); // lets Ctrl-C in
    },
  });
  const losses = await rowLosses(model, voice.format, rows, context(plan.dataFile));
  const neutralLosses = await rowLosses(model, voice.format, neutral, context(plan.neutralFile));
  const tasks = plan.answers === null ? [] : tasksOf(rows);
  let answered = 0;
  const onAnswer = () => onProgress(voice.name, 'answering', ++answered / tasks.length);
  const answers =
    plan.answers === null
      ? []
      : await answerAll(model, voice, tasks, { ...plan.answers, onAnswer });
  const answersOf = byRow(plan, answers);
  const chats = rows.map((row, i): ChatRecord => {
    const { id, topic, language } = row;
    const { lossSum, tokens } = losses[i];
    return { id, topic, language, loss_sum: lossSum, tokens, answers: answersOf.get(row) ?? [] };
  });
  const texts = neutral.map(({ id, kind }, i): NeutralRecord => {
    const { lossSum, tokens } = neutralLosses[i];
    return { id, kind: kind ?? 'text', loss_sum: lossSum, tokens };
  });
  return {
    ...{ name: voice.name, adapter: voice.folder, base: plan.base },
    ...{ load_in_4bit: plan.loadIn4bit, chats, neutral: texts },
  };
}
