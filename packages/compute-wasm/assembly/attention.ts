// Attention, streamed over blocks of keys (FlashAttention, https://arxiv.org/abs/2205.14135). Scores
// are kept transposed, S^T [keys, 8 queries]: the lanes of a vector are queries, so that the softmax
// needs no sums across lanes, and S^T is at once the packed operand of O^T += V^T S^T.
import {
  HEAD_DIM,
  HEADS,
  headAddress,
  headStep,
  K,
  KEY_LENGTH,
  keyLimit,
  LOG_SUM_EXP,
  OUT,
  Q,
  QUERY_LENGTH,
  SCALE,
  statisticAddress,
  V,
} from './attention-arguments';
import { highestEnd, lowestKey, RANGE_BYTES, seen, seesAll, writeRange } from './attention-ranges';
import { chunkCount, float, integer, nextChunk, threadScratch } from './control';
import { packStraight, packTransposed, unpackTransposed } from './pack';
import { store4 } from './simd';
import { COLUMNS, ROWS, tile } from './tile';
import { exp4, log4 } from './transcendental';

/** Queries of a chunk. */
const QUERIES: i32 = 256;
/** Keys of a block: whole tiles of 4 and of 6. */
const KEYS: i32 = 96;
/** The score of a key that is not seen. */
const HIDDEN: f32 = -1e30;

/** m := the running maximum, l := the running sum, of a panel: 8 floats each. */
const STATISTIC_BYTES: usize = 64;

/** Turns scores into exp(score - maximum) in place, updates maximum and sum, and rescales O^T. */
function softmax(
  scores: usize,
  start: i32,
  keys: i32,
  range: usize,
  statistic: usize,
  output: usize,
  dims: i32,
): void {
  const scale = f32x4.splat(float(SCALE));
  const hidden = f32x4.splat(HIDDEN);
  const all = seesAll(range, start, start + keys);
  for (let half: usize = 0; half < 32; half += 16) {
    const oldMaximum = v128.load(statistic + half);
    let maximum = oldMaximum;
    let at = scores + half;
    for (let key = 0; key < keys; key++) {
      let s = f32x4.mul(v128.load(at), scale);
      if (!all) s = v128.bitselect(s, hidden, seen(range, half, start + key));
      v128.store(at, s);
      maximum = f32x4.pmax(maximum, s);
      at += 32;
    }
    let sum = f32x4.splat(0);
    at = scores + half;
    for (let key = 0; key < keys; key++) {
      const s = v128.load(at);
      // `ne` and not `gt`: a NaN must come through.
      const p = v128.and(exp4(f32x4.sub(s, maximum)), f32x4.ne(s, hidden));
      sum = f32x4.add(sum, p);
      v128.store(at, p);
      at += 32;
    }
    const shrink = exp4(f32x4.sub(oldMaximum, maximum));
    v128.store(statistic + half, maximum);
    const total = f32x4.add(f32x4.mul(v128.load(statistic + half, 32), shrink), sum);
    v128.store(statistic + half, total, 32);
    if (i32x4.all_true(f32x4.eq(oldMaximum, maximum))) continue;
    at = output + half;
    for (let d = 0; d < dims; d++) {
      v128.store(at, f32x4.mul(v128.load(at), shrink));
      at += 32;
    }
  }
}

/** Divides O^T by the sums and writes the panel's rows of `out` and `logSumExp`. */
function finish(
  output: usize,
  statistic: usize,
  row: i32,
  head: i32,
  query: i32,
  count: i32,
): void {
  const dims = integer(HEAD_DIM);
  const zero = f32x4.splat(0);
  for (let half: usize = 0; half < 32; half += 16) {
    const sum = v128.load(statistic + half, 32);
    const some = f32x4.ne(sum, zero);
    const inverse = v128.and(f32x4.div(f32x4.splat(1), sum), some);
    let at = output + half;
    for (let d = 0; d < dims; d++) {
      v128.store(at, f32x4.mul(v128.load(at), inverse));
      at += 32;
    }
    const lanes = count - <i32>(half >> 2);
    if (lanes <= 0) break;
    const logarithm = v128.and(f32x4.add(v128.load(statistic + half), log4(sum)), some);
    store4(statisticAddress(LOG_SUM_EXP, row, head, query) + half, lanes, logarithm);
  }
  const to = headAddress(OUT, integer(QUERY_LENGTH), row, query, head);
  unpackTransposed(output, COLUMNS, count, dims, to, headStep());
}

/** A chunk is up to QUERIES queries of one head of one row, the last ones (the longest) first. */
export function attention(thread: i32): void {
  const queryLength = integer(QUERY_LENGTH);
  const blocks = (queryLength + QUERIES - 1) / QUERIES;
  const heads = chunkCount() / blocks;
  for (let chunk = nextChunk(); chunk < chunkCount(); chunk = nextChunk()) {
    const head = chunk % heads;
    const query = (blocks - 1 - chunk / heads) * QUERIES;
    const count = min(QUERIES, queryLength - query);
    attend(thread, head / integer(HEADS), head % integer(HEADS), query, count);
  }
}

function attend(thread: i32, row: i32, head: i32, query: i32, count: i32): void {
  const dims = integer(HEAD_DIM);
  const rowTiles = (dims + ROWS - 1) / ROWS;
  const panels = (count + COLUMNS - 1) / COLUMNS;
  const keyPanelBytes = (<usize>(dims * ROWS)) << 2;
  const valuePanelBytes = (<usize>(KEYS * ROWS)) << 2;
  const queryPanelBytes = (<usize>dims) << 5;
  const outputPanelBytes = (<usize>(rowTiles * ROWS)) << 5;
  const step = headStep();

  const scores = threadScratch(thread);
  const keyPanels = scores + ((<usize>KEYS) << 5);
  const valuePanels = keyPanels + <usize>(KEYS / ROWS) * keyPanelBytes;
  const queryPanels = valuePanels + <usize>rowTiles * valuePanelBytes;
  const outputPanels = queryPanels + <usize>(QUERIES / COLUMNS) * queryPanelBytes;
  const statistics = outputPanels + <usize>(QUERIES / COLUMNS) * outputPanelBytes;
  const ranges = statistics + <usize>(QUERIES / COLUMNS) * STATISTIC_BYTES;

  memory.fill(outputPanels, 0, <usize>panels * outputPanelBytes);
  let lowest = i32.MAX_VALUE;
  let highest = 0;
  for (let panel = 0; panel < panels; panel++) {
    const first = query + panel * COLUMNS;
    const lanes = min(COLUMNS, count - panel * COLUMNS);
    const range = ranges + <usize>panel * RANGE_BYTES;
    const statistic = statistics + <usize>panel * STATISTIC_BYTES;
    writeRange(range, row, first, lanes);
    lowest = min(lowest, lowestKey(range));
    highest = max(highest, highestEnd(range));
    for (let half: usize = 0; half < 32; half += 16) {
      v128.store(statistic + half, f32x4.splat(HIDDEN));
      v128.store(statistic + half, f32x4.splat(0), 32);
    }
    const from = headAddress(Q, integer(QUERY_LENGTH), row, first, head);
    packTransposed(from, step, lanes, dims, queryPanels + <usize>panel * queryPanelBytes, COLUMNS);
  }

  for (let start = lowest < highest ? lowest : highest; start < highest; start += KEYS) {
    const keys = min(KEYS, keyLimit(row) - start);
    const fromK = headAddress(K, integer(KEY_LENGTH), row, start, head);
    for (let key = 0; key < keys; key += ROWS)
      packTransposed(
        fromK + <usize>key * step,
        step,
        min(ROWS, keys - key),
        dims,
        keyPanels + <usize>(key / ROWS) * keyPanelBytes,
        ROWS,
      );
    const fromV = headAddress(V, integer(KEY_LENGTH), row, start, head);
    for (let d = 0; d < rowTiles; d++)
      packStraight(
        fromV + ((<usize>(d * ROWS)) << 2),
        step,
        min(ROWS, dims - d * ROWS),
        keys,
        valuePanels + <usize>d * valuePanelBytes,
        ROWS,
      );
    for (let panel = 0; panel < panels; panel++) {
      const range = ranges + <usize>panel * RANGE_BYTES;
      const used = min(keys, highestEnd(range) - start);
      if (used <= 0 || lowestKey(range) >= start + keys) continue;
      const queries = queryPanels + <usize>panel * queryPanelBytes;
      const output = outputPanels + <usize>panel * outputPanelBytes;
      for (let key = 0; key < used; key += ROWS)
        tile(
          keyPanels + <usize>(key / ROWS) * keyPanelBytes,
          queries,
          dims,
          scores + ((<usize>key) << 5),
          32,
          false,
        );
      const statistic = statistics + <usize>panel * STATISTIC_BYTES;
      softmax(scores, start, used, range, statistic, output, dims);
      for (let d = 0; d < rowTiles; d++)
        tile(
          valuePanels + <usize>d * valuePanelBytes,
          scores,
          used,
          output + ((<usize>(d * ROWS)) << 5),
          32,
          true,
        );
    }
  }

  for (let panel = 0; panel < panels; panel++)
    finish(
      outputPanels + <usize>panel * outputPanelBytes,
      statistics + <usize>panel * STATISTIC_BYTES,
      row,
      head,
      query + panel * COLUMNS,
      min(COLUMNS, count - panel * COLUMNS),
    );
}
