/** Where a session tells what a person should know; an app shows it. */
export interface Notices {
  warn(line: string): void;
}
