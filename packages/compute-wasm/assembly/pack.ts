// Packing into panels `[k][width]`, width 4, 5, 6, 8 or 16: the order in which the inner kernel reads.

/** Writes the 4x4 block at `from` (rows `step` bytes apart) transposed, rows `to` apart `toStep` bytes. */
function transpose4(from: usize, step: usize, to: usize, toStep: usize): void {
  const r0 = v128.load(from);
  const r1 = v128.load(from + step);
  const r2 = v128.load(from + step * 2);
  const r3 = v128.load(from + step * 3);
  const a = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5);
  const b = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5);
  const c = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
  const d = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
  v128.store(to, v128.shuffle<f32>(a, b, 0, 1, 4, 5));
  v128.store(to + toStep, v128.shuffle<f32>(a, b, 2, 3, 6, 7));
  v128.store(to + toStep * 2, v128.shuffle<f32>(c, d, 0, 1, 4, 5));
  v128.store(to + toStep * 3, v128.shuffle<f32>(c, d, 2, 3, 6, 7));
}

/** The same for two rows: writes pairs. */
function transpose2(from: usize, step: usize, to: usize, toStep: usize): void {
  const r0 = v128.load(from);
  const r1 = v128.load(from + step);
  const low = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5);
  const high = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
  v128.store64_lane(to, low, 0);
  v128.store64_lane(to + toStep, low, 1);
  v128.store64_lane(to + toStep * 2, high, 0);
  v128.store64_lane(to + toStep * 3, high, 1);
}

/** One row into one column of the panel. */
function spread(from: usize, k: i32, to: usize, toStep: usize): void {
  for (let p = 0; p < k; p++) {
    store<f32>(to, load<f32>(from));
    from += 4;
    to += toStep;
  }
}

function clearColumn(k: i32, to: usize, toStep: usize): void {
  for (let p = 0; p < k; p++) {
    store<f32>(to, 0);
    to += toStep;
  }
}

/**
 * to[p][i] = from[i][p] for i < rows and p < k; columns from `rows` to `width` become 0.
 * Rows of `from` lie `step` bytes apart.
 */
export function packTransposed(
  from: usize,
  step: usize,
  rows: i32,
  k: i32,
  to: usize,
  width: i32,
): void {
  const toStep = (<usize>width) << 2;
  const whole = k & ~3;
  let i = 0;
  for (; i + 2 <= rows; ) {
    const count = i + 4 <= rows ? 4 : 2;
    const source = from + <usize>i * step;
    const target = to + ((<usize>i) << 2);
    if (count == 4)
      for (let p = 0; p < whole; p += 4)
        transpose4(source + ((<usize>p) << 2), step, target + <usize>p * toStep, toStep);
    else
      for (let p = 0; p < whole; p += 4)
        transpose2(source + ((<usize>p) << 2), step, target + <usize>p * toStep, toStep);
    if (whole < k)
      for (let row = 0; row < count; row++)
        spread(
          source + <usize>row * step + ((<usize>whole) << 2),
          k - whole,
          target + ((<usize>row) << 2) + <usize>whole * toStep,
          toStep,
        );
    i += count;
  }
  if (i < rows) {
    spread(from + <usize>i * step, k, to + ((<usize>i) << 2), toStep);
    i++;
  }
  for (; i < width; i++) clearColumn(k, to + ((<usize>i) << 2), toStep);
}

/**
 * to[p][j] = from[p][j] for j < columns and p < k; columns from `columns` to `width` become 0.
 * Rows of `from` lie `step` bytes apart.
 */
export function packStraight(
  from: usize,
  step: usize,
  columns: i32,
  k: i32,
  to: usize,
  width: i32,
): void {
  const toStep = (<usize>width) << 2;
  if (columns == width) {
    for (let p = 0; p < k; p++) {
      v128.store(to, v128.load(from));
      if (width >= 8) v128.store(to, v128.load(from, 16), 16);
      if (width == 16) {
        v128.store(to, v128.load(from, 32), 32);
        v128.store(to, v128.load(from, 48), 48);
      } else if (width == 6) store<u64>(to, load<u64>(from, 16), 16);
      else if (width == 5) store<u32>(to, load<u32>(from, 16), 16);
      from += step;
      to += toStep;
    }
    return;
  }
  for (let p = 0; p < k; p++) {
    for (let j: usize = 0; j < <usize>width; j++)
      store<f32>(to + (j << 2), j < <usize>columns ? load<f32>(from + (j << 2)) : 0);
    from += step;
    to += toStep;
  }
}

/** to[j][p] = from[p][j]: takes a panel `[k][width]` apart into the rows j < columns. */
export function unpackTransposed(
  from: usize,
  width: i32,
  columns: i32,
  k: i32,
  to: usize,
  step: usize,
): void {
  const fromStep = (<usize>width) << 2;
  const whole = k & ~3;
  let j = 0;
  for (; j + 4 <= columns; j += 4) {
    const source = from + ((<usize>j) << 2);
    const target = to + <usize>j * step;
    for (let p = 0; p < whole; p += 4)
      transpose4(source + <usize>p * fromStep, fromStep, target + ((<usize>p) << 2), step);
    for (let p = whole; p < k; p++)
      for (let lane: usize = 0; lane < 4; lane++)
        store<f32>(
          target + lane * step + ((<usize>p) << 2),
          load<f32>(source + <usize>p * fromStep + (lane << 2)),
        );
  }
  for (; j < columns; j++)
    for (let p: usize = 0; p < <usize>k; p++)
      store<f32>(
        to + <usize>j * step + (p << 2),
        load<f32>(from + p * fromStep + ((<usize>j) << 2)),
      );
}
