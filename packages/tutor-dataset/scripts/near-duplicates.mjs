// MinHash (Broder, 1997): a text's signature is the least value of each of many hash functions over
// its shingles; the share of places where two signatures agree estimates the Jaccard similarity of
// the two sets, with a standard error of at most 1 / (2 √SIZE).

const SIZE = 256;
const BANDS = 128; // of 2 places: a pair with a similarity of 0.2 meets in one with 99 %

const words = (text) =>
  text
    .normalize('NFC')
    .toLowerCase()
    .match(/[\p{L}\p{N}]+/gu) ?? [];

/** The runs of `size` words of a text. */
export function shingles(text, size = 3) {
  const all = words(text);
  return new Set(all.slice(size - 1).map((_, at) => all.slice(at, at + size).join(' ')));
}

/** 32-bit FNV-1a, finished as MurmurHash3 finishes. */
function hash(text) {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

// The hash functions: h → (a h + b) mod 2^32 with a odd, then mixed.
const FUNCTIONS = Array.from({ length: SIZE }, (_, i) => [hash(`a${i}`) | 1, hash(`b${i}`)]);

/** The signature of a set of shingles. */
export function signature(set) {
  const least = new Uint32Array(SIZE).fill(0xffffffff);
  for (const shingle of set) {
    const h = hash(shingle);
    for (let i = 0; i < SIZE; i++) {
      let value = Math.imul(h, FUNCTIONS[i][0]) + FUNCTIONS[i][1];
      value = Math.imul(value ^ (value >>> 15), 0x2c1b3c6d);
      value = (value ^ (value >>> 13)) >>> 0;
      if (value < least[i]) least[i] = value;
    }
  }
  return least;
}

/** The estimated Jaccard similarity of two signatures. */
export function similarity(a, b) {
  let same = 0;
  for (let i = 0; i < SIZE; i++) if (a[i] === b[i]) same += 1;
  return same / SIZE;
}

/** The exact Jaccard similarity of two sets. */
export function jaccard(a, b) {
  let shared = 0;
  for (const each of a) if (b.has(each)) shared += 1;
  return shared / (a.size + b.size - shared || 1);
}

/** Pairs of texts that locality-sensitive hashing brings together: `{ a, b, estimate, exact }`. */
export function candidatePairs(texts) {
  const sets = texts.map((text) => shingles(text));
  const signatures = sets.map(signature);
  const width = SIZE / BANDS;
  const pairs = new Map();
  for (let band = 0; band < BANDS; band++) {
    const buckets = new Map();
    for (const [at, each] of signatures.entries()) {
      const key = each.subarray(band * width, (band + 1) * width).join();
      const bucket = buckets.get(key) ?? [];
      for (const other of bucket) pairs.set(`${other},${at}`, [other, at]);
      bucket.push(at);
      buckets.set(key, bucket);
    }
  }
  return [...pairs.values()].map(([a, b]) => ({
    ...{ a, b },
    estimate: similarity(signatures[a], signatures[b]),
    exact: jaccard(sets[a], sets[b]),
  }));
}
