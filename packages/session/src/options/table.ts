import type { ValueType } from './value-types.js';

/** One option of a verb. */
export interface OptionSpec<T> {
  readonly type: ValueType<unknown>;
  readonly default: T;
  /** There is no default: leaving it out is an error. */
  readonly required: boolean;
  readonly describe: string;
}

/** Options by their ecosystem name, in snake case: `lora_alpha`. */
export type OptionTable = Readonly<Record<string, OptionSpec<unknown>>>;

type Camel<S extends string> = S extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<Camel<Tail>>}`
  : S;

/** The values of a table, in camel case: `loraAlpha`. */
export type OptionsOf<T extends OptionTable> = {
  readonly [K in keyof T & string as Camel<K>]: T[K] extends OptionSpec<infer V> ? V : never;
};

/** An option with a default. */
export function option<T>(type: ValueType<T>, fallback: T, describe: string): OptionSpec<T> {
  return { type, default: fallback, required: false, describe };
}

/** An option that may be left out. */
export function optional<T>(type: ValueType<T>, describe: string): OptionSpec<T | undefined> {
  return { type, default: undefined, required: false, describe };
}

/** An option that must be given, by a flag or by the configuration file. */
export function required<T>(type: ValueType<T>, describe: string): OptionSpec<T> {
  return { type, default: undefined as T, required: true, describe };
}

/** `lora_alpha` → `loraAlpha` */
export function camelCase(key: string): string {
  return key.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
}

/** `lora_alpha` → `--lora-alpha` */
export function flagOf(key: string): string {
  return `--${key.replaceAll('_', '-')}`;
}
