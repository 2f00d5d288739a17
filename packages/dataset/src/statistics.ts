import type { Row, RowFormat } from './row.js';

/** Token counts of rows. Percentiles are nearest-rank. */
export interface LengthStatistics {
  readonly min: number;
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

/** What a dataset holds. Shares are between 0 and 1. */
export interface DatasetStatistics {
  readonly rows: number;
  readonly formats: Readonly<Partial<Record<RowFormat, number>>>;
  /** Turns of chats by role. */
  readonly roles: Readonly<Record<string, number>>;
  /** Of all rows, before any cut. */
  readonly tokens: number;
  readonly trainedTokens: number;
  readonly trainedShare: number;
  /** Null without rows. */
  readonly lengths: LengthStatistics | null;
  /** Rows of more than `maxSeqLength` tokens. */
  readonly tooLong: number;
  readonly tooLongShare: number;
}

function tally<K extends string>(keys: Iterable<K>): Partial<Record<K, number>> {
  const counts: Partial<Record<K, number>> = {};
  for (const key of keys) counts[key] = (counts[key] ?? 0) + 1;
  return counts;
}

function sum(values: Int32Array): number {
  return values.reduce((total, value) => total + value, 0);
}

function share(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}

function lengthStatistics(lengths: Int32Array): LengthStatistics | null {
  if (lengths.length === 0) return null;
  const sorted = lengths.slice().sort();
  const percentile = (p: number) => sorted[Math.ceil((p / 100) * sorted.length) - 1]!;
  return {
    min: sorted[0]!,
    mean: sum(sorted) / sorted.length,
    p50: percentile(50),
    p90: percentile(90),
    p95: percentile(95),
    p99: percentile(99),
    max: sorted.at(-1)!,
  };
}

/** Counts rows, turns and tokens. `measured` is what `tokenizeRows` gave for these rows. */
export function datasetStatistics(
  rows: readonly Row[],
  measured: { readonly lengths: Int32Array; readonly trained: Int32Array },
  options: { readonly maxSeqLength: number },
): DatasetStatistics {
  const { lengths, trained } = measured;
  const turns = rows.flatMap((row) => (row.kind === 'chat' ? row.messages : []));
  const tokens = sum(lengths);
  const trainedTokens = sum(trained);
  const tooLong = lengths.filter((length) => length > options.maxSeqLength).length;
  return {
    rows: rows.length,
    formats: tally(rows.map(({ format }) => format)),
    roles: tally(turns.map(({ role }) => role)),
    tokens,
    trainedTokens,
    trainedShare: share(trainedTokens, tokens),
    lengths: lengthStatistics(lengths),
    tooLong,
    tooLongShare: share(tooLong, lengths.length),
  };
}
