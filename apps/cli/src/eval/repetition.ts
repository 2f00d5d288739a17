const RUN = 4;

function words(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
}

/** The share of a text's 4-word runs that were there before: 0 in a text of fewer than 5 words. */
export function repeatedRuns(text: string): number {
  const all = words(text);
  const runs = all.slice(RUN - 1).map((_, at) => all.slice(at, at + RUN).join(' '));
  return runs.length === 0 ? 0 : 1 - new Set(runs).size / runs.length;
}

/**
 * Whether a text goes round in circles: half of its 4-word runs are repeats, or a line of three
 * words or more stands there three times.
 */
export function isDegenerate(text: string): boolean {
  const counts = new Map<string, number>();
  for (const line of text.split('\n')) {
    const key = words(line).join(' ');
    if (key.split(' ').length >= 3) counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return repeatedRuns(text) >= 0.5 || [...counts.values()].some((count) => count >= 3);
}
