import { QLoraError } from '@qlorajs/errors';
import { RE2JS } from 're2js';

/**
 * A Python pattern, for whole texts as `re.fullmatch` has it. Patterns come with adapters that others
 * made: RE2 takes time in proportion to the text, where JavaScript's engine can be made to run for ever.
 * @throws QLoraError `LORA_PATTERN` when RE2 cannot read it: look-around and back-references, too.
 */
export function fullMatch(pattern: string): RE2JS {
  try {
    return RE2JS.compile(pattern.replaceAll('\\Z', '\\z'));
  } catch (cause) {
    throw new QLoraError(
      'LORA_PATTERN',
      `the pattern ${JSON.stringify(pattern.slice(0, 200))} is not a regular expression that can be matched in linear time: ${(cause as Error).message}; list the module names instead`,
      { details: { pattern }, cause },
    );
  }
}
