// The keys [first, end) that the eight queries of a panel see, in scratch: first i32[8], end i32[8],
// then the extremes over the lanes that see any key. A lane without a query has the range [0, 0).
import { endKey, firstKey } from './attention-arguments';

export const RANGE_BYTES: usize = 80;

/** Describes the queries [query, query + count), count <= 8. */
export function writeRange(at: usize, row: i32, query: i32, count: i32): void {
  let lowest = i32.MAX_VALUE;
  let highestFirst = 0;
  let lowestEnd = i32.MAX_VALUE;
  let highest = 0;
  for (let lane = 0; lane < 8; lane++) {
    const first = lane < count ? firstKey(row, query + lane) : 0;
    const end = lane < count ? endKey(row, query + lane) : 0;
    store<i32>(at + ((<usize>lane) << 2), first);
    store<i32>(at + ((<usize>lane) << 2), end, 32);
    highestFirst = max(highestFirst, first);
    lowestEnd = min(lowestEnd, end);
    if (first >= end) continue;
    lowest = min(lowest, first);
    highest = max(highest, end);
  }
  store<i32>(at, lowest, 64);
  store<i32>(at, highest, 68);
  store<i32>(at, highestFirst, 72);
  store<i32>(at, lowestEnd, 76);
}

/** The lowest key that a lane sees; the largest integer when none sees any. */
export function lowestKey(at: usize): i32 {
  return load<i32>(at, 64);
}

/** One past the highest key that a lane sees; 0 when none sees any. */
export function highestEnd(at: usize): i32 {
  return load<i32>(at, 68);
}

/** True when every lane sees all keys of [start, end). */
export function seesAll(at: usize, start: i32, end: i32): bool {
  return load<i32>(at, 72) <= start && load<i32>(at, 76) >= end;
}

/** All bits of the lanes (0 to 3, or 4 to 7 with `offset` 16) that see `key`. */
export function seen(at: usize, offset: usize, key: i32): v128 {
  const keys = i32x4.splat(key);
  return v128.and(
    i32x4.ge_s(keys, v128.load(at + offset)),
    i32x4.lt_s(keys, v128.load(at + offset, 32)),
  );
}
