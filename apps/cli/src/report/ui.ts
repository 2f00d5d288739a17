import { styleText } from 'node:util';

/** How a verb talks: results to stdout, everything else to stderr. */
export interface Ui {
  readonly json: boolean;
  readonly verbose: boolean;
  readonly quiet: boolean;
  /** A line that informs; silent with `--quiet`. */
  info(line: string): void;
  /** A line that only `--verbose` shows. */
  detail(line: string): void;
  /** A line that is always shown. */
  warn(line: string): void;
  /** Text of the result, as it comes; nothing with `--json`. */
  print(text: string): void;
  /** The one document of `--json`; nothing without it. */
  result(document: unknown): void;
  /** Called before every line, so that a live display can step aside. */
  beforeLine: (() => void) | null;
}

/** The process's own. */
export function createUi(options: { json: boolean; verbose: boolean; quiet: boolean }): Ui {
  const line = (text: string) => {
    ui.beforeLine?.();
    process.stderr.write(`${text}\n`);
  };
  const ui: Ui = {
    ...options,
    info: (text) => options.quiet || line(text),
    detail: (text) => options.verbose && line(text),
    warn: (text) => line(`warning: ${text}`),
    print: (text) => options.json || process.stdout.write(text),
    result: (document) => {
      if (options.json) process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
    },
    beforeLine: null,
  };
  return ui;
}

/** Colours a text where the stream shows colours. */
export function paint(
  format: Parameters<typeof styleText>[0],
  text: string,
  stream: { readonly isTTY?: boolean },
): string {
  const wanted = stream.isTTY === true && !process.env.NO_COLOR;
  return wanted ? styleText(format, text) : text;
}
