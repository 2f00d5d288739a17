import { QLoraError } from '@qlorajs/errors';
import type { Figures } from '@qlorajs/session';
import type { LoopState } from '@qlorajs/trainer';

/** A line of train_log.jsonl; null where the engine did not say. */
export type LogRecord = Readonly<Record<string, number | null>>;

/** What an engine says of a run that it took to its end. */
export interface RunReport {
  readonly records: readonly LogRecord[];
  readonly figures: Figures;
  readonly loop: LoopState;
  readonly seconds: number;
  /** Most that a process held; 0: it did not say. */
  readonly memoryBytes: number;
  /** `2 processes on cuda in bfloat16` */
  readonly engine: string;
  /** `torch 2.13.0, …` */
  readonly versions: string;
}

/** An error about a finished run's folder. */
export function resultError(code: string, message: string, details: object = {}): QLoraError {
  return new QLoraError(code, message, { details: { ...details } });
}
