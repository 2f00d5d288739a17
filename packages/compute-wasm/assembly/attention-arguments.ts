// What the attention kernels share: their arguments, and which keys a query sees.
import { integer, pointer } from './control';

export const Q: i32 = 0;
export const K: i32 = 1;
export const V: i32 = 2;
export const OUT: i32 = 3;
export const LOG_SUM_EXP: i32 = 4;
const KEY_LENGTHS: i32 = 5;
const QUERY_START: i32 = 6;
const FIRST_KEYS: i32 = 7;
/** T */
export const QUERY_LENGTH: i32 = 8;
/** S */
export const KEY_LENGTH: i32 = 9;
export const HEADS: i32 = 10;
export const HEAD_DIM: i32 = 11;
export const D_OUT: i32 = 12;
export const DELTA: i32 = 13;
export const D_Q: i32 = 14;
export const D_K: i32 = 15;
export const D_V: i32 = 16;
/** Floats: the scale of the scores. */
export const SCALE: i32 = 0;

/** Keys of batch row `row` that are real. */
export function keyLimit(row: i32): i32 {
  return load<i32>(pointer(KEY_LENGTHS) + ((<usize>row) << 2));
}

/** The first key that a query sees. */
export function firstKey(row: i32, query: i32): i32 {
  const firsts = pointer(FIRST_KEYS);
  if (!firsts) return 0;
  return load<i32>(firsts + ((<usize>(row * integer(QUERY_LENGTH) + query)) << 2));
}

/** One past the last key that a query sees. */
export function endKey(row: i32, query: i32): i32 {
  const starts = pointer(QUERY_START);
  const start = starts ? load<i32>(starts + ((<usize>row) << 2)) : 0;
  return min(start + query + 1, keyLimit(row));
}

/** The address of a head's slice of row `at` of a `[B, length, heads * headDim]` tensor. */
export function headAddress(tensor: i32, length: i32, row: i32, at: i32, head: i32): usize {
  const element = ((<usize>row * length + at) * integer(HEADS) + head) * integer(HEAD_DIM);
  return pointer(tensor) + (element << 2);
}

/** Bytes from one position of a head to the next. */
export function headStep(): usize {
  return (<usize>(integer(HEADS) * integer(HEAD_DIM))) << 2;
}

/** The address of an element of a `[B, heads, T]` tensor. */
export function statisticAddress(tensor: i32, row: i32, head: i32, query: i32): usize {
  const element = (<usize>row * integer(HEADS) + head) * integer(QUERY_LENGTH) + query;
  return pointer(tensor) + (element << 2);
}
