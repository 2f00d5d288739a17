import type { Row } from '@qlorajs/dataset';
import { parseJson } from '@qlorajs/errors';
import type { FolderSource } from '@qlorajs/safetensors';
import { jsonIfThere } from '../read-folder.js';

const CONFIG_FILE = 'tokenizer_config.json';
const KEY = 'default_system_prompt';

/** The system message that more than half of a dataset's rows begin with; null if none is. */
export function commonSystemPrompt(rows: readonly Row[]): string | null {
  const counts = new Map<string, number>();
  for (const row of rows) {
    const [first] = row.kind === 'chat' ? row.messages : [];
    if (first?.role === 'system') counts.set(first.content, (counts.get(first.content) ?? 0) + 1);
  }
  const [most] = [...counts].sort(([, a], [, b]) => b - a);
  return most !== undefined && most[1] > rows.length / 2 ? most[0] : null;
}

/**
 * Tokenizer files that remember the system message an adapter was trained with: a key of
 * tokenizer_config.json, which transformers keeps and does not mind.
 */
export function withSystemPrompt(
  files: Readonly<Record<string, string>>,
  prompt: string | null,
): Record<string, string> {
  const config = files[CONFIG_FILE];
  if (prompt === null || config === undefined) return { ...files };
  const { ...entries } = parseJson(config) as Record<string, unknown>;
  const sorted = Object.entries({ ...entries, [KEY]: prompt }).sort(([a], [b]) => (a < b ? -1 : 1));
  const text = `${JSON.stringify(Object.fromEntries(sorted), null, 2)}\n`;
  return { ...files, [CONFIG_FILE]: text };
}

/** The system message that a folder's adapter was trained with, if it records one. */
export async function readSystemPrompt(folder: FolderSource): Promise<string | undefined> {
  const config = (await jsonIfThere(folder, CONFIG_FILE)) as Record<string, unknown> | null;
  const prompt = config?.[KEY];
  return typeof prompt === 'string' ? prompt : undefined;
}
