// The backward of attention, five products a pair of blocks (FlashAttention, section 3.1 of
// https://arxiv.org/abs/2205.14135). A chunk is one head of one row and owns its dQ, dK and dV.
// As in the forward, P^T and dS^T are `[keys, 8 queries]` with queries in the lanes.
import {
  D_K,
  D_OUT,
  D_Q,
  D_V,
  DELTA,
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
import { load4, sumLanes } from './simd';
import { COLUMNS, ROWS, tile } from './tile';
import { exp4 } from './transcendental';

/** Queries and keys of a pair of blocks; keys in whole tiles of 4 and of 6. */
const QUERIES: i32 = 64;
const KEYS: i32 = 96;
const PANELS: i32 = QUERIES / COLUMNS;

// The scratch of a thread; its size is worked out in src/ops/attention.ts.
let scoreGradients: usize = 0; // dS^T of a query block: [PANELS][KEYS][8]
let probabilities: usize = 0; // P^T: the same
let byKey: usize = 0; // P or dS as left operand: [KEYS / ROWS][QUERIES][ROWS]
let keyPanels: usize = 0; // K: [KEYS / ROWS][dims][ROWS]
let valuePanels: usize = 0; // V: the same
let keyColumns: usize = 0; // K^T: [dims / ROWS][KEYS][ROWS]
let keySums: usize = 0; // dK: [KEYS][dims rounded up to 8]
let valueSums: usize = 0; // dV: the same
// Of the whole head: q and dOut twice each, in both operand orders, dQ^T, and the statistics.
let queryPanels: usize = 0; // Q^T: [T / 8][dims][8]
let gradientPanels: usize = 0; // dOut^T: the same
let queryRows: usize = 0; // Q: [T / QUERIES][dims / 8][QUERIES][8]
let gradientRows: usize = 0; // dOut: the same
let queryGradients: usize = 0; // dQ^T: [T / 8][dims rounded up to ROWS][8]
let statistics: usize = 0; // logSumExp and D: [T / 8][2][8]
let ranges: usize = 0;

function layOut(at: usize): void {
  const dims = integer(HEAD_DIM);
  const wide = <usize>((dims + COLUMNS - 1) / COLUMNS) * COLUMNS;
  const tall = <usize>((dims + ROWS - 1) / ROWS) * ROWS;
  const blocks = <usize>((integer(QUERY_LENGTH) + QUERIES - 1) / QUERIES);
  const queries = blocks * QUERIES;
  const square = (<usize>(QUERIES * KEYS)) << 2;
  scoreGradients = at;
  probabilities = scoreGradients + square;
  byKey = probabilities + square;
  keyPanels = byKey + square;
  valuePanels = keyPanels + ((<usize>(KEYS * dims)) << 2);
  keyColumns = valuePanels + ((<usize>(KEYS * dims)) << 2);
  keySums = keyColumns + ((<usize>KEYS * tall) << 2);
  valueSums = keySums + ((<usize>KEYS * wide) << 2);
  queryPanels = valueSums + ((<usize>KEYS * wide) << 2);
  gradientPanels = queryPanels + ((queries * dims) << 2);
  queryRows = gradientPanels + ((queries * dims) << 2);
  gradientRows = queryRows + ((queries * wide) << 2);
  queryGradients = gradientRows + ((queries * wide) << 2);
  statistics = queryGradients + ((queries * tall) << 2);
  ranges = statistics + (queries << 3);
}

export function attentionBackward(thread: i32): void {
  layOut(threadScratch(thread));
  const heads = integer(HEADS);
  const keyLength = integer(KEY_LENGTH);
  for (let chunk = nextChunk(); chunk < chunkCount(); chunk = nextChunk()) {
    const row = chunk / heads;
    const head = chunk % heads;
    prepareQueries(row, head);
    for (let start = 0; start < keyLength; start += KEYS) {
      const real = max(0, min(KEYS, keyLimit(row) - start));
      memory.fill(keySums, 0, queryPanels - keySums);
      if (real > 0) visitKeys(row, head, start, real);
      writeKeys(row, head, start, min(KEYS, keyLength - start));
    }
    writeQueries(row, head);
  }
}

/** Packs q and dOut of the whole head and works out D = rowsum(dOut * out). */
function prepareQueries(row: i32, head: i32): void {
  const dims = integer(HEAD_DIM);
  const length = integer(QUERY_LENGTH);
  const step = headStep();
  const columns = (dims + COLUMNS - 1) / COLUMNS;
  memory.fill(queryGradients, 0, statistics - queryGradients);
  for (let query = 0; query < length; query += COLUMNS) {
    const count = min(COLUMNS, length - query);
    const panel = <usize>(query >> 3);
    const panelBytes = (<usize>dims) << 5;
    const q = headAddress(Q, length, row, query, head);
    const dOut = headAddress(D_OUT, length, row, query, head);
    packTransposed(q, step, count, dims, queryPanels + panel * panelBytes, COLUMNS);
    packTransposed(dOut, step, count, dims, gradientPanels + panel * panelBytes, COLUMNS);
    writeRange(ranges + panel * RANGE_BYTES, row, query, count);
    const out = headAddress(OUT, length, row, query, head);
    for (let lane = 0; lane < COLUMNS; lane++) {
      const at = statistics + (panel << 6) + ((<usize>lane) << 2);
      let logSumExp: f32 = 0;
      let delta: f32 = 0;
      if (lane < count) {
        logSumExp = load<f32>(statisticAddress(LOG_SUM_EXP, row, head, query + lane));
        delta = dot(dOut + <usize>lane * step, out + <usize>lane * step, dims);
        store<f32>(statisticAddress(DELTA, row, head, query + lane), delta);
      }
      store<f32>(at, logSumExp);
      store<f32>(at, delta, 32);
    }
  }
  for (let query = 0; query < length; query += QUERIES) {
    const count = min(QUERIES, length - query);
    const q = headAddress(Q, length, row, query, head);
    const dOut = headAddress(D_OUT, length, row, query, head);
    for (let c = 0; c < columns; c++) {
      const offset = (<usize>((query / QUERIES) * columns + c) * QUERIES) << 5;
      const at = (<usize>c) << 5;
      const width = min(COLUMNS, dims - c * COLUMNS);
      packStraight(q + at, step, width, count, queryRows + offset, COLUMNS);
      packStraight(dOut + at, step, width, count, gradientRows + offset, COLUMNS);
      // The rows that fill the last panel of eight must be 0: they are multiplied by 0.
      const end = (<usize>count) << 5;
      const rest = ((<usize>((count + 7) & ~7)) << 5) - end;
      memory.fill(queryRows + offset + end, 0, rest);
      memory.fill(gradientRows + offset + end, 0, rest);
    }
  }
}

function dot(a: usize, b: usize, dims: i32): f32 {
  let sum = f32x4.splat(0);
  for (let d = 0; d < dims; d += 4) {
    const at = (<usize>d) << 2;
    sum = f32x4.add(sum, f32x4.mul(load4(a + at, dims - d), load4(b + at, dims - d)));
  }
  return sumLanes(sum);
}

/** All queries that see a key of [start, start + keys). */
function visitKeys(row: i32, head: i32, start: i32, keys: i32): void {
  const dims = integer(HEAD_DIM);
  const step = headStep();
  const k = headAddress(K, integer(KEY_LENGTH), row, start, head);
  const v = headAddress(V, integer(KEY_LENGTH), row, start, head);
  const panelBytes = (<usize>(dims * ROWS)) << 2;
  for (let key = 0; key < keys; key += ROWS) {
    const at = <usize>key * step;
    const to = <usize>(key / ROWS) * panelBytes;
    packTransposed(k + at, step, min(ROWS, keys - key), dims, keyPanels + to, ROWS);
    packTransposed(v + at, step, min(ROWS, keys - key), dims, valuePanels + to, ROWS);
  }
  for (let d = 0; d < dims; d += ROWS) {
    const to = keyColumns + ((<usize>(KEYS * d)) << 2);
    packStraight(k + ((<usize>d) << 2), step, min(ROWS, dims - d), keys, to, ROWS);
  }
  const panels = (integer(QUERY_LENGTH) + COLUMNS - 1) / COLUMNS;
  for (let panel = 0; panel < panels; panel += PANELS) {
    const end = min(panels, panel + PANELS);
    let first = end;
    for (let p = panel; p < end; p++)
      if (visitPanel(p, p - panel, start, keys) && first == end) first = p;
    if (first < end) addToKeys(panel / PANELS, end - panel, keys);
  }
}

/** P^T and dS^T of eight queries, and their dQ^T; false (and zeros) when they see none of the keys. */
function visitPanel(panel: i32, slot: i32, start: i32, keys: i32): bool {
  const dims = integer(HEAD_DIM);
  const range = ranges + <usize>panel * RANGE_BYTES;
  const p = probabilities + ((<usize>(slot * KEYS)) << 5);
  const ds = scoreGradients + ((<usize>(slot * KEYS)) << 5);
  const used = min(keys, highestEnd(range) - start);
  const some = used > 0 && lowestKey(range) < start + keys;
  const computed = some ? ((used + ROWS - 1) / ROWS) * ROWS : 0;
  const rest = (<usize>(KEYS - computed)) << 5;
  memory.fill(p + ((<usize>computed) << 5), 0, rest);
  memory.fill(ds + ((<usize>computed) << 5), 0, rest);
  if (!some) return false;
  const at = <usize>panel * ((<usize>dims) << 5);
  const panelBytes = (<usize>(dims * ROWS)) << 2;
  for (let key = 0; key < used; key += ROWS) {
    const from = <usize>(key / ROWS) * panelBytes;
    tile(keyPanels + from, queryPanels + at, dims, p + ((<usize>key) << 5), 32, false);
    tile(valuePanels + from, gradientPanels + at, dims, ds + ((<usize>key) << 5), 32, false);
  }
  differentiate(p, ds, statistics + ((<usize>panel) << 6), range, start, computed);
  const tall = ((dims + ROWS - 1) / ROWS) * ROWS;
  const sums = queryGradients + ((<usize>(panel * tall)) << 5);
  for (let d = 0; d < dims; d += ROWS) {
    const columns = keyColumns + ((<usize>(KEYS * d)) << 2);
    tile(columns, ds, used, sums + ((<usize>d) << 5), 32, true);
  }
  return true;
}

/** scores -> P, dP -> dS = P (dP - D) scale, in place; 0 for keys that are not seen. */
function differentiate(
  p: usize,
  ds: usize,
  statistic: usize,
  range: usize,
  start: i32,
  keys: i32,
): void {
  const scale = f32x4.splat(float(SCALE));
  const all = seesAll(range, start, start + keys);
  for (let half: usize = 0; half < 32; half += 16) {
    const logSumExp = v128.load(statistic + half);
    const delta = v128.load(statistic + half, 32);
    for (let key = 0; key < keys; key++) {
      const at = half + ((<usize>key) << 5);
      let value = exp4(f32x4.sub(f32x4.mul(v128.load(p + at), scale), logSumExp));
      if (!all) value = v128.and(value, seen(range, half, start + key));
      v128.store(p + at, value);
      const slope = f32x4.mul(f32x4.sub(v128.load(ds + at), delta), scale);
      v128.store(ds + at, f32x4.mul(value, slope));
    }
  }
}

/** dV += P^T dOut and dK += dS^T Q of one query block. */
function addToKeys(block: i32, panels: i32, keys: i32): void {
  multiplyByKey(probabilities, gradientRows, valueSums, block, panels, keys);
  multiplyByKey(scoreGradients, queryRows, keySums, block, panels, keys);
}

function multiplyByKey(
  from: usize,
  rows: usize,
  sums: usize,
  block: i32,
  panels: i32,
  keys: i32,
): void {
  const columns = (integer(HEAD_DIM) + COLUMNS - 1) / COLUMNS;
  const stride = (<usize>columns) << 5;
  for (let key = 0; key < keys; key += ROWS) {
    for (let panel = 0; panel < panels; panel++)
      packTransposed(
        from + ((<usize>(panel * KEYS + key)) << 5),
        32,
        ROWS,
        COLUMNS,
        byKey + ((<usize>(panel * COLUMNS * ROWS)) << 2),
        ROWS,
      );
    for (let c = 0; c < columns; c++) {
      const b = rows + ((<usize>(block * columns + c) * QUERIES) << 5);
      const to = sums + <usize>key * stride + ((<usize>c) << 5);
      tile(byKey, b, panels * COLUMNS, to, stride, true);
    }
  }
}

function writeKeys(row: i32, head: i32, start: i32, keys: i32): void {
  const bytes = (<usize>integer(HEAD_DIM)) << 2;
  const stride = (<usize>((integer(HEAD_DIM) + COLUMNS - 1) / COLUMNS)) << 5;
  for (let key = 0; key < keys; key++) {
    const from = <usize>key * stride;
    memory.copy(
      headAddress(D_K, integer(KEY_LENGTH), row, start + key, head),
      keySums + from,
      bytes,
    );
    memory.copy(
      headAddress(D_V, integer(KEY_LENGTH), row, start + key, head),
      valueSums + from,
      bytes,
    );
  }
}

function writeQueries(row: i32, head: i32): void {
  const dims = integer(HEAD_DIM);
  const length = integer(QUERY_LENGTH);
  const tall = ((dims + ROWS - 1) / ROWS) * ROWS;
  for (let query = 0; query < length; query += COLUMNS)
    unpackTransposed(
      queryGradients + ((<usize>((query >> 3) * tall)) << 5),
      COLUMNS,
      min(COLUMNS, length - query),
      dims,
      headAddress(D_Q, length, row, query, head),
      headStep(),
    );
}
