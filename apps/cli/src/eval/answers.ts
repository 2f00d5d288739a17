import { setImmediate as turn } from 'node:timers/promises';
import type { ChatMessage } from '@qlorajs/chat-template';
import { GenerationPool, type PhiModel } from '@qlorajs/phi2-model';
import { type GenerationSettings, promptIds } from '@qlorajs/session';
import { formatParts } from './format-score.js';
import { keywordRecall } from './keywords.js';
import type { AnswerRecord } from './records.js';
import { isDegenerate, repeatedRuns } from './repetition.js';
import type { EvalRow } from './rows.js';
import type { EvalVoice } from './voices.js';

/** One question of a chat with all that came before it as the dataset has it, and the answer there. */
export interface Task {
  readonly row: EvalRow;
  readonly prompt: readonly ChatMessage[];
  readonly reference: string;
}

/** Every answer of every chat is to be given. */
export function tasksOf(rows: readonly EvalRow[]): Task[] {
  return rows.flatMap((each) => {
    if (each.row.kind !== 'chat') return [];
    const { messages } = each.row;
    return messages.flatMap(({ role, content }, at) =>
      role === 'assistant'
        ? [{ row: each, prompt: messages.slice(0, at), reference: content }]
        : [],
    );
  });
}

/** How answers are made and judged. */
export interface AnswerSettings {
  readonly generation: GenerationSettings;
  /** By topic and language. */
  readonly keywordsOf: (row: EvalRow) => readonly string[];
  readonly signal: AbortSignal;
  readonly onAnswer: () => void;
}

async function answerOf(
  pool: GenerationPool,
  voice: EvalVoice,
  task: Task,
  settings: AnswerSettings,
): Promise<AnswerRecord> {
  const { format, adapter } = voice;
  const { tokenizer } = format;
  const ids: number[] = [];
  const generation = pool.generate(promptIds(format, task.prompt), {
    ...settings.generation,
    ...{ adapter, signal: settings.signal, limit: tokenizer.size },
    // The end of the turn alone: a base that ends its document has not ended its turn.
    stopIds: format.stopIds.slice(0, 1),
  });
  let next = await generation.next();
  while (!next.done) {
    ids.push(next.value.id);
    next = await generation.next();
  }
  settings.signal.throwIfAborted();
  const answer = tokenizer.decode(ids, { skipSpecialTokens: true });
  const raw = tokenizer.decode(ids, { skipSpecialTokens: false });
  const { reference, row } = task;
  settings.onAnswer();
  return {
    ...{ question: task.prompt.at(-1)!.content, reference, answer },
    ...{ tokens: ids.length, finish_reason: next.value },
    ...formatParts({ answer, raw, reference, language: row.language }),
    keyword_recall: keywordRecall(answer, reference, settings.keywordsOf(row)),
    repeated_4grams: repeatedRuns(answer),
    degenerate: isDegenerate(answer),
  };
}

/** Answers all tasks, many at a time, in their order. */
export function answerAll(
  model: PhiModel,
  voice: EvalVoice,
  tasks: readonly Task[],
  settings: AnswerSettings,
): Promise<AnswerRecord[]> {
  const pool = new GenerationPool(model, { turn: () => turn() }); // lets Ctrl-C in
  return Promise.all(tasks.map((task) => answerOf(pool, voice, task, settings)));
}
