/** What was measured on one answer that a voice gave. */
export interface AnswerRecord {
  readonly question: string;
  readonly reference: string;
  readonly answer: string;
  readonly tokens: number;
  /** `stop` is the format's end-of-turn token. */
  readonly finish_reason: string;
  /** null: the reference answer itself has not the form that is looked for. */
  readonly structure: boolean | null;
  /** null: the language of the reference could not be told. */
  readonly language_kept: boolean | null;
  readonly role_kept: boolean;
  readonly no_leakage: boolean;
  /** Share of the topic's keywords that the reference uses; null: it uses none, or has no topic. */
  readonly keyword_recall: number | null;
  /** Share of the 4-word runs that were there before (seq-rep-4, https://arxiv.org/abs/1908.04319). */
  readonly repeated_4grams: number;
  readonly degenerate: boolean;
  /** Code blocks in Python and JavaScript, where they were run. */
  readonly code?: readonly CodeRecord[];
}

/** What became of one block of code. */
export interface CodeRecord {
  readonly language: 'python' | 'javascript';
  readonly ran: boolean;
  /** It printed what its comments say; null: they say nothing. */
  readonly prints_what_it_says: boolean | null;
  readonly error: string | null;
}

/** One row of the dataset under one voice. */
export interface ChatRecord {
  readonly id: string;
  readonly topic: string | null;
  readonly language: string | null;
  /** Nats over the trained tokens. */
  readonly loss_sum: number;
  readonly tokens: number;
  readonly answers: readonly AnswerRecord[];
}

/** One neutral text under one voice. */
export interface NeutralRecord {
  readonly id: string;
  /** `es`, `code` */
  readonly kind: string;
  readonly loss_sum: number;
  readonly tokens: number;
}

/** Everything that was measured of a base or of a base with an adapter. */
export interface VoiceRecord {
  readonly name: string;
  /** null: the base alone. */
  readonly adapter: string | null;
  readonly base: string;
  readonly load_in_4bit: boolean;
  readonly chats: readonly ChatRecord[];
  readonly neutral: readonly NeutralRecord[];
}
