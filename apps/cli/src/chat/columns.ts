const GAP = ' │ ';

/** Breaks a text into lines of at most `width` characters, between words where there are any. */
export function wrap(text: string, width: number): string[] {
  return text.split('\n').flatMap((line) => {
    const lines: string[] = [];
    let current = '';
    for (const word of line.split(' ')) {
      const joined = current === '' ? word : `${current} ${word}`;
      if (joined.length <= width) {
        current = joined;
        continue;
      }
      if (current !== '') lines.push(current);
      current = word;
      while (current.length > width) {
        lines.push(current.slice(0, width));
        current = current.slice(width);
      }
    }
    return [...lines, current];
  });
}

/** Texts side by side, each under its title. */
export function columns(
  texts: readonly { readonly title: string; readonly text: string }[],
  total: number,
): string {
  const width = Math.max(8, Math.floor((total - GAP.length * (texts.length - 1)) / texts.length));
  const blocks = texts.map(({ title, text }) => [
    title.slice(0, width),
    '─'.repeat(width),
    ...wrap(text, width),
  ]);
  const height = Math.max(...blocks.map(({ length }) => length));
  return Array.from({ length: height }, (_, row) =>
    blocks
      .map((block) => (block[row] ?? '').padEnd(width))
      .join(GAP)
      .trimEnd(),
  ).join('\n');
}
