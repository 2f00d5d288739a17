import { escapeHtml } from '../eval/report-html.js';
import type { TrialResult } from './results.js';

const HEIGHT = 420;
const MARGIN = { left: 70, right: 70, top: 60, bottom: 40 };
const SPACING = 170;

interface Axis {
  readonly label: string;
  /** 0 at the bottom to 1 at the top. */
  at(result: TrialResult): number;
  readonly ticks: readonly { readonly text: string; readonly at: number }[];
}

const parameterOf = (result: TrialResult, key: string) => result.parameters[key];
const short = (value: unknown) =>
  typeof value === 'number' ? String(Number(value.toPrecision(3))) : String(value);

/** Logarithmic where the values span a factor of ten or more. */
function numberAxis(
  label: string,
  values: readonly number[],
  of: (r: TrialResult) => number,
): Axis {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const log = low > 0 && high / low >= 10;
  const scale = (value: number) => (log ? Math.log(value) : value);
  const span = scale(high) - scale(low);
  const place = (value: number) => (span === 0 ? 0.5 : (scale(value) - scale(low)) / span);
  const distinct = [...new Set(values)].sort((a, b) => a - b);
  const shown = distinct.length <= 6 ? distinct : [low, high];
  return {
    label: log ? `${label} (log)` : label,
    at: (result) => place(of(result)),
    ticks: shown.map((value) => ({ text: short(value), at: place(value) })),
  };
}

function axisOf(results: readonly TrialResult[], key: string): Axis {
  const values = results.map((result) => parameterOf(result, key));
  if (values.every((value) => typeof value === 'number'))
    return numberAxis(key, values, (result) => Number(parameterOf(result, key)));
  const names = [...new Set(values.map(short))];
  const place = (name: string) =>
    names.length === 1 ? 0.5 : names.indexOf(name) / (names.length - 1);
  return {
    label: key,
    at: (result) => place(short(parameterOf(result, key))),
    ticks: names.map((name) => ({ text: name, at: place(name) })),
  };
}

/** From dark blue (best) to yellow (worst), in equal steps of rank. */
function colour(share: number): string {
  return `hsl(${Math.round(230 - 180 * share)} 70% ${Math.round(35 + 20 * share)}%)`;
}

/**
 * Parallel coordinates: an axis for each searched option and one for the held-out loss, a line for
 * each trial, the best ones drawn last and darkest.
 * @param results the best first
 */
export function parallelPlot(results: readonly TrialResult[], title: string): string {
  const keys = [...new Set(results.flatMap(({ parameters }) => Object.keys(parameters)))];
  const losses = results.map(({ eval_loss }) => eval_loss);
  const axes = [
    ...keys.map((key) => axisOf(results, key)),
    numberAxis('eval_loss', losses, ({ eval_loss }) => eval_loss),
  ];
  const width = MARGIN.left + MARGIN.right + SPACING * (axes.length - 1);
  const x = (i: number) => MARGIN.left + SPACING * i;
  const y = (share: number) =>
    HEIGHT - MARGIN.bottom - share * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const lines = results.map((result, rank) => {
    const points = axes.map((axis, i) => `${x(i)},${y(axis.at(result)).toFixed(1)}`).join(' ');
    const share = results.length === 1 ? 0 : rank / (results.length - 1);
    return `<polyline fill="none" stroke="${colour(share)}" stroke-width="${rank === 0 ? 3 : 1.5}" stroke-opacity="0.8" points="${points}"><title>${escapeHtml(`${result.name}: ${result.eval_loss.toFixed(4)}`)}</title></polyline>`;
  });
  const drawn = axes.flatMap((axis, i) => [
    `<line x1="${x(i)}" x2="${x(i)}" y1="${y(0)}" y2="${y(1)}" stroke="#888"/>`,
    `<text x="${x(i)}" y="${MARGIN.top - 12}" text-anchor="middle" font-weight="bold">${escapeHtml(axis.label)}</text>`,
    ...axis.ticks.map(
      (tick) =>
        `<text x="${x(i) - 6}" y="${(y(tick.at) + 4).toFixed(1)}" text-anchor="end" fill="#555">${escapeHtml(tick.text)}</text>`,
    ),
  ]);
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<title>${escapeHtml(title)}</title>`,
    `<rect width="${width}" height="${HEIGHT}" fill="white"/>`,
    `<text x="${MARGIN.left}" y="22" font-size="14">${escapeHtml(title)}</text>`,
    ...lines.toReversed(),
    ...drawn,
    '</svg>',
  ].join('\n')}\n`;
}
