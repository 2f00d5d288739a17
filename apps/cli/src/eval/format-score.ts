import { hasTutorFormat } from '@qlorajs/tutor-dataset';
import { languageOf } from './language.js';

/** An answer as it came, with special tokens written out, and what it is held against. */
export interface Judged {
  /** Without special tokens. */
  readonly answer: string;
  /** With the special tokens that were generated, the one that ended it aside. */
  readonly raw: string;
  readonly reference: string;
  /** Of the row, where it says so. */
  readonly language: string | null;
}

/** The four parts of the format score. */
export interface FormatParts {
  readonly structure: boolean | null;
  readonly language_kept: boolean | null;
  readonly role_kept: boolean;
  readonly no_leakage: boolean;
}

// A line that opens somebody's turn: the tutor speaks for nobody else, and does not name itself.
const TURN =
  /^\s*(\*\*)?(usuario|usuaria|user|human|humano|estudiante|student|alumno|asistente|assistant|sistema|system)(\*\*)?\s*:/im;
const ROLE_MARKER = /<\|(system|user|assistant|im_start)\|>/;
const TEMPLATE = /<\||\|>|\[\/?INST\]|<<\/?SYS>>|<\/?s>|\{%|\{\{/;

/**
 * Judges the form of an answer: its structure is the tutor's (where the reference has it), its
 * language the question's, it speaks for nobody else, and nothing of the chat template shows.
 */
export function formatParts({ answer, raw, reference, language }: Judged): FormatParts {
  const wanted = language ?? languageOf(reference);
  return {
    structure: hasTutorFormat(reference) ? hasTutorFormat(answer) : null,
    language_kept: wanted === null ? null : languageOf(answer) === wanted,
    role_kept: !TURN.test(answer) && !ROLE_MARKER.test(raw),
    no_leakage: raw === answer && !TEMPLATE.test(answer),
  };
}

/** Whether every part that could be judged holds. */
export function keepsFormat(parts: FormatParts): boolean {
  const { structure, language_kept, role_kept, no_leakage } = parts;
  return structure !== false && language_kept !== false && role_kept && no_leakage;
}
