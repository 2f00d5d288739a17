/** A reproducible stream of numbers in [0, 1) (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const WORDS =
  `the of and a un una pila cola árbol grafo función recursión algoritmo nodo O(n log n) def return
  if else for while while(true) ¿Qué ¡Hola! niño corazón Straße наука 你好 世界 日本語 こんにちは 한국어 שלום مرحبا हिन्दी
  print("x") x_1 i++ == != -> => {} [] // /* */ # 123 3.14 1e-9 0xFF ½ ² Ⅳ ٣ 𝟘 𝔘 👩‍💻 🏳️‍🌈 👍🏽 e\u0301 ñ n\u0303 ﬁ`.split(
    /\s+/,
  );
const CONTRACTIONS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "''", '’s', " 's"];
/** What the two sides may see differently: odd white space, the edges of classes, what is no character. */
const HAZARDS = [
  ...' \t\n\v\f\r\x1c\x1d\x1e\x1f\x85\xa0\u1680\u180e\u2000\u2003\u200a\u200b\u200d\u2028\u2029\u202f',
  ...'\u205f\u2060\u3000\ufeff\ufffd\ufffe\uffff\ufdd0\ue000\u0000\x7f\xad\u0300\u0345\u0e31\u20dd',
  ...'ªºⅫⓐ㊀〇〡ᛮ𐄇𐅀𒐀𞴀\u{11de0}\u{88f}\u{1c89}\u{105c0}\u{16d40}\u{323b0}\u{10ffff}\u{e0001}\u{1fbf0}',
];
const REPEATED = [
  ' ',
  '  ',
  '\t',
  '\n',
  '\r\n',
  'a',
  'ab',
  '-',
  '=',
  '0',
  ' \t',
  '\u3000',
  'é',
  '🥞',
  '<|',
];

/** Texts that mix words, runs, contractions, added tokens and odd characters. */
export function randomText(random: () => number, addedTokens: readonly string[]): string {
  const below = (limit: number) => Math.floor(random() * limit);
  const one = (pool: readonly string[]) => pool[below(pool.length)]!;
  const anyCharacter = () => {
    const code = random() < 0.5 ? below(0x3000) : below(0x110000);
    return code >= 0xd800 && code < 0xe000 ? '\ufffd' : String.fromCodePoint(code);
  };
  const pieces: (() => string)[] = [
    () => `${one(WORDS)} `,
    () => ` ${one(WORDS)}`,
    () => one(WORDS),
    () => one(CONTRACTIONS),
    () => one(HAZARDS),
    () => one(REPEATED).repeat(1 + below(40)),
    () => anyCharacter(),
    () => one(addedTokens),
    () => one(addedTokens).slice(0, 1 + below(6)),
    () => String.fromCharCode(32 + below(95)),
  ];
  const length = below(20);
  let text = '';
  for (let index = 0; index < length; index++) text += pieces[below(pieces.length)]!();
  // Half a surrogate pair cannot cross into Rust; a slice of an added token may have cut one.
  return text.replace(/\p{Surrogate}/gu, '\ufffd');
}
