import type { HistoryEntry } from './history.js';

const WIDTH = 720;
const HEIGHT = 360;
const MARGIN = { left: 64, right: 16, top: 36, bottom: 44 };

interface Point {
  readonly step: number;
  readonly loss: number;
}

/** Round values that divide a range into about five parts. */
export function ticks(low: number, high: number): number[] {
  const rough = (high - low) / 5 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough)!;
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) =>
    Number(((first + i) * step).toPrecision(6)),
  );
}

function series(entries: readonly HistoryEntry[], key: 'loss' | 'eval_loss'): Point[] {
  return entries
    .filter((entry) => Number.isFinite(entry[key]))
    .map((entry) => ({ step: entry.step, loss: entry[key] }));
}

/** The losses of a run as an SVG picture: training as a line, evaluation as a line with dots. */
export function plotLosses(entries: readonly HistoryEntry[], title: string): string {
  const training = series(entries, 'loss');
  const evaluation = series(entries, 'eval_loss');
  const all = [...training, ...evaluation];
  const losses = all.map(({ loss }) => loss);
  const low = Math.min(0, ...losses);
  const high = Math.max(1e-6, ...losses) * 1.05;
  const lastStep = Math.max(1, ...all.map(({ step }) => step));
  const x = (step: number) =>
    MARGIN.left + (step / lastStep) * (WIDTH - MARGIN.left - MARGIN.right);
  const y = (loss: number) =>
    HEIGHT - MARGIN.bottom - ((loss - low) / (high - low)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const at = (value: number) => value.toFixed(1);
  const line = (points: readonly Point[], colour: string) =>
    `<polyline fill="none" stroke="${colour}" stroke-width="1.5" points="${points
      .map(({ step, loss }) => `${at(x(step))},${at(y(loss))}`)
      .join(' ')}"/>`;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>`,
    `<text x="${MARGIN.left}" y="20" font-size="14">${escapeXml(title)}</text>`,
    ...ticks(low, high).map(
      (value) =>
        `<line x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${at(y(value))}" y2="${at(y(value))}" stroke="#ddd"/><text x="${MARGIN.left - 8}" y="${at(y(value) + 4)}" text-anchor="end">${value}</text>`,
    ),
    ...ticks(0, lastStep).map(
      (value) =>
        `<text x="${at(x(value))}" y="${HEIGHT - MARGIN.bottom + 18}" text-anchor="middle">${value}</text>`,
    ),
    `<text x="${WIDTH / 2}" y="${HEIGHT - 8}" text-anchor="middle">step</text>`,
    `<text x="14" y="${HEIGHT / 2}" transform="rotate(-90 14 ${HEIGHT / 2})" text-anchor="middle">loss, nats a token</text>`,
    line(training, '#1f77b4'),
    ...(evaluation.length > 0 ? [line(evaluation, '#d62728')] : []),
    ...evaluation.map(
      ({ step, loss }) =>
        `<circle cx="${at(x(step))}" cy="${at(y(loss))}" r="3.5" fill="#d62728"/>`,
    ),
    `<text x="${WIDTH - MARGIN.right}" y="20" text-anchor="end"><tspan fill="#1f77b4">training</tspan>${evaluation.length > 0 ? ' <tspan fill="#d62728">evaluation</tspan>' : ''}</text>`,
    '</svg>',
  ];
  return `${parts.join('\n')}\n`;
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
