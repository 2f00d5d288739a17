import type { RE2JS as Re2 } from 're2js';

let loaded: typeof Re2 | null = null;
let isWanted = false;

/**
 * Stands in for re2js, a sixth of the page that only an adapter with patterns needs. The browser's own
 * expressions would be there, but one of them can be made to run for ever.
 */
export const RE2JS = {
  compile(pattern: string): Re2 {
    if (loaded) return loaded.compile(pattern);
    isWanted = true;
    throw new Error('patterns are not loaded yet');
  },
};

/** Does work that may meet a pattern: where it does, RE2 comes, and the work is done again. */
export async function withPatterns<T>(work: () => Promise<T>): Promise<T> {
  isWanted = false;
  try {
    return await work();
  } catch (error) {
    if (!isWanted) throw error;
    loaded = (await import('re2js')).RE2JS;
    return work();
  }
}
