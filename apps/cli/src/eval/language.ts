const SPANISH = new Set(
  'el la los las un una de del en y o que si con por para es se su no al lo como cada más pero son'.split(
    ' ',
  ),
);
const ENGLISH = new Set(
  'the a an of to in and or if is it that with for you by on as not one its how do are at from each be i this'.split(
    ' ',
  ),
);

/** Prose alone: code blocks and inline code say nothing about the language. */
function withoutCode(text: string): string {
  return text.replace(/```[\s\S]*?(```|$)|`[^`\n]*`/g, ' ');
}

/**
 * Spanish or English, by function words; null where neither has twice the other's count, and in
 * texts with fewer than two of them.
 */
export function languageOf(text: string): 'es' | 'en' | null {
  const words =
    withoutCode(text)
      .toLowerCase()
      .match(/\p{L}+/gu) ?? [];
  const [es, en] = [SPANISH, ENGLISH].map((set) => words.filter((word) => set.has(word)).length);
  if (Math.max(es, en) < 2) return null;
  if (es >= 2 * en) return 'es';
  return en >= 2 * es ? 'en' : null;
}
