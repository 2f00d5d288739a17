import type { Row } from '@qlorajs/dataset';
import { readBytes } from '../io/read.js';
import type { Ui } from '../report/ui.js';
import { badRows, readRows } from '../training/examples.js';

/** A row with what its line says about it beside the text, where it says it. */
export interface EvalRow {
  readonly row: Row;
  /** `id`, else `line 7`. */
  readonly id: string;
  readonly topic: string | null;
  readonly language: string | null;
  /** Of a neutral text: `es`, `code`. */
  readonly kind: string | null;
}

/**
 * The rows of a file and their metadata.
 * @param limit the first so many; 0: all
 * @throws QLoraError `DATASET_ROWS`
 */
export async function readEvalRows(file: string, limit: number, ui: Ui): Promise<EvalRow[]> {
  const { rows, errors } = await readRows(file);
  if (errors.length > 0) throw badRows(file, errors, ui);
  const lines = new TextDecoder().decode(await readBytes(file)).split(/\r?\n/);
  return (limit > 0 ? rows.slice(0, limit) : rows).map((row) => {
    const meta = JSON.parse(lines[row.line - 1]) as Record<string, unknown>;
    const text = (key: string) => (typeof meta[key] === 'string' ? meta[key] : null);
    return {
      ...{ row, id: text('id') ?? `line ${row.line}` },
      ...{ topic: text('topic'), language: text('language'), kind: text('kind') },
    };
  });
}
