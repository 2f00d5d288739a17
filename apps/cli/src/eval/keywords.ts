function plainWords(text: string): string[] {
  return (
    text
      .normalize('NFD')
      .replace(/\p{M}/gu, '')
      .toLowerCase()
      .match(/[\p{L}\p{N}]+/gu) ?? []
  );
}

/** The keywords, each the beginning of a word without accents, that a text uses. */
function keywordsIn(text: string, keywords: readonly string[]): string[] {
  const words = plainWords(text);
  return keywords.filter((key) => words.some((word) => word.startsWith(key)));
}

/** Of the keywords that the reference uses, the share that the answer uses too; null: it uses none. */
export function keywordRecall(
  answer: string,
  reference: string,
  keywords: readonly string[],
): number | null {
  const wanted = keywordsIn(reference, keywords);
  return wanted.length === 0 ? null : keywordsIn(answer, wanted).length / wanted.length;
}
