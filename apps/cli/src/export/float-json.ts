/**
 * A JSON object changed without turning its 0.0 into 0, which transformers refuses for floats.
 * @param change edits the parsed object in place
 */
export function editJson(
  source: string,
  change: (entries: Record<string, unknown>) => void,
): string {
  const marked = source.replace(/([:[,]\s*)(-?\d+\.0+)(?=\s*[,}\]])/g, '$1"\u0000$2"');
  const entries = JSON.parse(marked.replaceAll('\u0000', '\\u0000')) as Record<string, unknown>;
  change(entries);
  return `${JSON.stringify(entries, null, 2).replace(/"\\u0000([^"]+)"/g, '$1')}\n`;
}
