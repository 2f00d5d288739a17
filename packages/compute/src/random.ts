/**
 * A counter-based generator: the number at (seed, stream, index) needs no state, so that a mask is
 * the same when gradient checkpointing recomputes it, on every backend and for any number of threads.
 * The mixer is `lowbias32` (https://nullprogram.com/blog/2018/07/31/), applied twice with two keys.
 */
export interface CounterKey {
  readonly first: number;
  readonly second: number;
}

/** Mixes 32 bits; a bijection. */
export function mix32(value: number): number {
  let x = value;
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}

/** The two keys of a (seed, stream) pair; each is taken modulo 2^32. */
export function counterKey(seed: number, stream: number): CounterKey {
  const first = mix32((seed >>> 0) + 0x9e3779b9);
  return { first, second: mix32(((stream >>> 0) ^ first) + 0x85ebca6b) };
}

/** 32 random bits, as an unsigned integer. */
export function counterBits(key: CounterKey, index: number): number {
  return mix32(mix32((index + key.first) >>> 0) ^ key.second);
}

/** Uniform in [0, 1), a multiple of 2^-24: exact in f32. */
export function counterUniform(key: CounterKey, index: number): number {
  return (counterBits(key, index) >>> 8) * 2 ** -24;
}

/** Standard normal (Box-Muller), from the indices 2·index and 2·index + 1. */
export function counterNormal(key: CounterKey, index: number): number {
  const radius = Math.sqrt(-2 * Math.log(1 - counterUniform(key, 2 * index)));
  return radius * Math.cos(2 * Math.PI * counterUniform(key, 2 * index + 1));
}

/** `counterBits < threshold` has this probability; probabilities are rounded to 2^-32. */
export function bitsThreshold(probability: number): number {
  return Math.min(0xffffffff, Math.round(probability * 2 ** 32));
}
