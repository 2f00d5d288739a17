import type { OptionsOf, OptionTable, uiOptions } from '@qlorajs/session';
import type { Ui } from '../report/ui.js';

/** A verb of the command line. */
export interface Verb<T extends OptionTable = OptionTable> {
  /** `ask`, or two words: `data check` */
  readonly name: string;
  readonly summary: string;
  /** Its one argument, as `--help` shows it. */
  readonly argument?: {
    readonly name: string;
    readonly describe: string;
    /** It may be left out; `run` gets '' then. */
    readonly optional?: boolean;
  };
  readonly options: T;
  /** @returns the exit code */
  run(options: OptionsOf<T & typeof uiOptions>, ui: Ui, argument: string): Promise<number>;
}

/** Checks a verb's options against its `run`, then forgets their types for the list of verbs. */
export function verb<T extends OptionTable>(definition: Verb<T>): Verb {
  return definition as unknown as Verb;
}
