import { QLoraError, type QLoraErrorKind } from '@qlorajs/errors';

/** Where a fault lies; a writer knows no file yet. */
export interface Place {
  readonly file?: string;
  readonly tensor?: string;
}

/** Names come from untrusted files and may be megabytes long: a message shows the start. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}…` : text);
}

/** For files whose bytes contradict themselves. */
export const DAMAGED = 'the file is damaged or its writer is faulty: download or save it again';

/** `FILE: tensor "NAME": PROBLEM; REMEDY`, with file and tensor in `details`. */
export function safetensorsError(
  code: string,
  place: Place,
  problem: string,
  remedy: string,
  more: { kind?: QLoraErrorKind; details?: Record<string, unknown>; cause?: unknown } = {},
): QLoraError {
  const where = [
    ...(place.file === undefined ? [] : [place.file]),
    ...(place.tensor === undefined ? [] : [`tensor ${quote(place.tensor)}`]),
  ];
  return new QLoraError(code, `${[...where, problem].join(': ')}; ${remedy}`, {
    kind: more.kind ?? 'input',
    details: { ...place, ...more.details },
    cause: more.cause,
  });
}
