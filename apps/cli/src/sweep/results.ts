import type { Trial } from './trials.js';

/** What a finished trial came to; `trial.json` in its folder. */
export interface TrialResult {
  readonly name: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly eval_loss: number;
  readonly eval_perplexity: number;
  readonly train_loss: number;
  readonly steps: number;
  readonly seconds: number;
  readonly trainable_parameters: number;
}

/** A trial that failed, with what it said. */
export interface TrialFailure {
  readonly name: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly error: string;
}

/** The result in what `qlora train --json` printed. */
export function resultOf(trial: Trial, document: Record<string, unknown>): TrialResult {
  const evaluation = document.evaluation as { after: number } | null;
  const loss = evaluation?.after ?? Number.NaN;
  return {
    ...{ name: trial.name, parameters: trial.parameters },
    ...{ eval_loss: loss, eval_perplexity: Math.exp(loss) },
    train_loss: Number(document.trainLoss),
    steps: Number(document.steps),
    seconds: Number(document.seconds),
    trainable_parameters: Number(document.trainableParameters),
  };
}

/** The best first: least held-out loss. */
export function ranked(results: readonly TrialResult[]): TrialResult[] {
  return [...results].sort((a, b) => a.eval_loss - b.eval_loss);
}

const text = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value));

function columns(results: readonly TrialResult[]): string[] {
  return [...new Set(results.flatMap(({ parameters }) => Object.keys(parameters)))];
}

/** A table for the terminal. */
export function formatResults(results: readonly TrialResult[]): string {
  const keys = columns(results);
  const head = ['', ...keys, 'eval_loss', 'perplexity', 'steps', 'seconds'];
  const rows = results.map(({ name, parameters, ...figures }) => [
    name,
    ...keys.map((key) => text(parameters[key] ?? '')),
    figures.eval_loss.toFixed(4),
    figures.eval_perplexity.toFixed(2),
    String(figures.steps),
    figures.seconds.toFixed(0),
  ]);
  const widths = head.map((_, i) => Math.max(...[head, ...rows].map((row) => row[i].length)));
  return [head, ...rows]
    .map((row) => row.map((cell, i) => cell[i === 0 ? 'padEnd' : 'padStart'](widths[i])).join('  '))
    .join('\n');
}

/** The results as CSV (RFC 4180), a column an option. */
export function formatCsv(results: readonly TrialResult[]): string {
  const keys = columns(results);
  const quote = (cell: string) => (/[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
  const rows = results.map(({ name, parameters, ...figures }) => [
    name,
    ...keys.map((key) => text(parameters[key] ?? '')),
    ...Object.values(figures).map(String),
  ]);
  const { name: _, parameters: __, ...figures } = results[0];
  return [['name', ...keys, ...Object.keys(figures)], ...rows]
    .map((row) => `${row.map(quote).join(',')}\n`)
    .join('');
}
