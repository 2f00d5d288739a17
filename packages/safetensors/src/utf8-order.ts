/**
 * Compares as UTF-8 bytes do (equal to code point order), which is how Rust and Python sort
 * strings. JavaScript's `<` compares UTF-16 units and puts U+1F600 before U+FF01.
 */
export function compareUtf8(a: string, b: string): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    const left = a.charCodeAt(i);
    const right = b.charCodeAt(i);
    if (left !== right) return weight(left) - weight(right);
  }
  return a.length - b.length;
}

/** Moves surrogates (which stand for code points from U+10000 up) behind U+E000..U+FFFF. */
function weight(unit: number): number {
  return unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit;
}

/** True when the text holds half a surrogate pair, which no UTF-8 file can store. */
export function hasLoneSurrogate(text: string): boolean {
  return /\p{Surrogate}/u.test(text);
}
