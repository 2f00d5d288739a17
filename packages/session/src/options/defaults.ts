import { camelCase, type OptionSpec, type OptionsOf, type OptionTable } from './table.js';

/** A table's defaults with some values replaced. */
export function withDefaults<T extends OptionTable>(
  table: T,
  given: Partial<OptionsOf<T>>,
): OptionsOf<T> {
  const defaults = Object.entries<OptionSpec<unknown>>(table).map(([key, spec]) => [
    camelCase(key),
    spec.default,
  ]);
  return { ...Object.fromEntries(defaults), ...given } as OptionsOf<T>;
}
