import type { Estimate } from './bootstrap.js';
import { METRICS } from './metrics.js';
import type { VoiceSummary } from './summary.js';

/** The kinds of neutral texts, as tables call them. */
const KINDS: Readonly<Record<string, string>> = { es: 'Spanish', code: 'code' };

function number(value: number, unit: string): string {
  if (unit === 'share') return `${(100 * value).toFixed(1)} %`;
  if (unit === 'nats' || unit === 'ratio') return value.toFixed(3);
  return value >= 100 ? value.toFixed(0) : value.toFixed(2);
}

/** `12.3 [11.5, 13.2]`; a share in percent. */
function formatEstimate(estimate: Estimate | null, unit: string): string {
  if (estimate === null) return '—';
  const { value, low, high } = estimate;
  const [a, b, c] = [value, low, high].map((each) => number(each, unit).replace(' %', ''));
  return `${a}${unit === 'share' ? ' %' : ''} [${b}, ${c}]`;
}

/** Label, then a cell for each voice; rows that no voice has are left out. */
export function tableRows(voices: readonly VoiceSummary[]): string[][] {
  const rows = METRICS.filter(({ key }) => voices.some(({ metrics }) => metrics[key])).map(
    ({ key, label, unit }) => [
      label,
      ...voices.map(({ metrics }) => formatEstimate(metrics[key] ?? null, unit)),
    ],
  );
  const kinds = [...new Set(voices.flatMap(({ neutral }) => Object.keys(neutral)))];
  for (const kind of kinds) {
    const name = KINDS[kind] ?? kind;
    rows.push([
      `neutral ${name}: perplexity`,
      ...voices.map(({ neutral }) =>
        formatEstimate(neutral[kind]?.perplexity ?? null, 'perplexity'),
      ),
    ]);
    rows.push([
      `neutral ${name}: forgetting`,
      ...voices.map(({ neutral }) => formatEstimate(neutral[kind]?.forgetting ?? null, 'share')),
    ]);
  }
  const ratios = (of: 'versus_first' | 'versus_first_adapter') =>
    voices.map((voice) => formatEstimate(voice[of]?.perplexity ?? null, 'ratio'));
  if (voices.length > 1)
    rows.push([`perplexity over that of ${voices[0].name}`, ...ratios('versus_first')]);
  const adapters = voices.filter(({ adapter }) => adapter !== null);
  if (adapters.length > 1)
    rows.push([`perplexity over that of ${adapters[0].name}`, ...ratios('versus_first_adapter')]);
  return rows;
}

/** The table of the terminal, in columns. */
export function formatTable(voices: readonly VoiceSummary[]): string {
  const rows = [['', ...voices.map(({ name }) => name)], ...tableRows(voices)];
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) =>
          column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column]),
        )
        .join('  '),
    )
    .join('\n');
}
