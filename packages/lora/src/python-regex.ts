import { QLoraError } from '@qlorajs/errors';

/** Spellings of Python's `re` that JavaScript writes otherwise. */
const SPELLINGS: readonly (readonly [RegExp, string])[] = [
  [/\(\?P</g, '(?<'],
  [/\(\?P=(\w+)\)/g, '\\k<$1>'],
  [/\\A/g, '^'],
  [/\\Z/g, '$'],
];

/**
 * A Python pattern as a RegExp that must match the whole text, like `re.fullmatch`.
 * @throws QLoraError `LORA_PATTERN` when JavaScript cannot read it.
 */
export function fullMatch(pattern: string): RegExp {
  const flags = /^\(\?([is]+)\)/.exec(pattern);
  const body = SPELLINGS.reduce(
    (text, [python, javascript]) => text.replace(python, javascript),
    flags === null ? pattern : pattern.slice(flags[0].length),
  );
  try {
    return new RegExp(`^(?:${body})$`, [...new Set(flags?.[1] ?? '')].join(''));
  } catch (cause) {
    throw new QLoraError(
      'LORA_PATTERN',
      `the pattern ${JSON.stringify(pattern)} is not a regular expression that JavaScript can read: ${(cause as Error).message}; list the module names instead`,
      { details: { pattern }, cause },
    );
  }
}
