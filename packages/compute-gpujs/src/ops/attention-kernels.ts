import { kernel } from '../kernel.js';

/** Score of a key that a query does not see; gpu.js takes 1e30 for an integer, hence the halves. */
const HIDDEN = '-1000000000.5';
const SEEN = '-100000000.5';

const SIZES = ['heads', 'headDim', 'queryLength', 'keyLength'] as const;

/** Cell of `[B, heads, T, S]`: `key`, `query`, `head`, `batch`; `queryRow` and `keyRow` begin their vectors. */
const SCORE_CELL = `
  const line = divide(this.thread.x, keyLength);
  const key = this.thread.x - line * keyLength;
  const block = divide(line, queryLength);
  const query = line - block * queryLength;
  const batch = divide(block, heads);
  const head = block - batch * heads;
  const queryRow = ((batch * queryLength + query) * heads + head) * headDim;
  const keyRow = ((batch * keyLength + key) * heads + head) * headDim;`;

/** scale * q k^T, or hidden. */
export const SCORES = kernel(
  'scores',
  ['q', 'k', 'keyLengths', 'queryStart', 'firstKeys'],
  [...SIZES, 'scale', 'hasStart', 'hasFirst'],
  `${SCORE_CELL}
  const start = hasStart * queryStart[queryStartAt + hasStart * batch];
  const first = hasFirst * firstKeys[firstKeysAt + hasFirst * (batch * queryLength + query)];
  let value = ${HIDDEN};
  if (key >= first && key <= start + query && key < keyLengths[keyLengthsAt + batch]) {
    let sum = 0;
    for (let d = 0; d < headDim; d++) {
      sum = sum + q[qAt + queryRow + d] * k[kAt + keyRow + d];
    }
    value = scale * sum;
  }
  return value;`,
);

/** 0 for a query that sees nothing. */
export const LOG_SUM_EXP = kernel(
  'logSumExp',
  ['scores'],
  ['keyLength'],
  `
  const start = scoresAt + this.thread.x * keyLength;
  let largest = ${HIDDEN};
  for (let i = 0; i < keyLength; i++) { largest = Math.max(largest, scores[start + i]); }
  let sum = 0;
  for (let j = 0; j < keyLength; j++) {
    if (scores[start + j] > ${SEEN}) { sum = sum + Math.exp(scores[start + j] - largest); }
  }
  let value = 0;
  if (sum > 0) { value = largest + Math.log(sum); }
  return value;`,
);

export const PROBABILITIES = kernel(
  'probabilities',
  ['scores', 'logSumExp'],
  ['keyLength'],
  `
  const score = scores[scoresAt + this.thread.x];
  let value = 0;
  if (score > ${SEEN}) {
    value = Math.exp(score - logSumExp[logSumExpAt + divide(this.thread.x, keyLength)]);
  }
  return value;`,
);

/** Cell of `[B, L, heads, headDim]`: `d`, `head`, `place` in its sequence, `batch`. */
const vectorCell = (length: string) => `
  const vector = divide(this.thread.x, headDim);
  const d = this.thread.x - vector * headDim;
  const token = divide(vector, heads);
  const head = vector - token * heads;
  const batch = divide(token, ${length});
  const place = token - batch * ${length};`;

const overKeys = (name: string, a: string, b: string) =>
  kernel(
    name,
    [a, b],
    SIZES,
    `${vectorCell('queryLength')}
  const line = ${a}At + ((batch * heads + head) * queryLength + place) * keyLength;
  const column = ${b}At + (batch * keyLength * heads + head) * headDim + d;
  let sum = 0;
  for (let j = 0; j < keyLength; j++) {
    sum = sum + ${a}[line + j] * ${b}[column + j * heads * headDim];
  }
  return sum;`,
  );

/** P v */
export const WEIGHTED_VALUES = overKeys('weightedValues', 'p', 'v');

/** dQ = dS k */
export const D_QUERIES = overKeys('dQueries', 'dS', 'k');

/** dK = dS^T q, and dV = P^T dOut. */
export const D_KEYS = kernel(
  'dKeys',
  ['dS', 'q'],
  SIZES,
  `${vectorCell('keyLength')}
  const line = dSAt + (batch * heads + head) * queryLength * keyLength + place;
  const column = qAt + (batch * queryLength * heads + head) * headDim + d;
  let sum = 0;
  for (let j = 0; j < queryLength; j++) {
    sum = sum + dS[line + j * keyLength] * q[column + j * heads * headDim];
  }
  return sum;`,
);

/** D = rowsum(dOut * out), `[B, heads, T]` */
export const DELTA = kernel(
  'delta',
  ['dOut', 'out'],
  SIZES,
  `
  const block = divide(this.thread.x, queryLength);
  const query = this.thread.x - block * queryLength;
  const batch = divide(block, heads);
  const head = block - batch * heads;
  const start = ((batch * queryLength + query) * heads + head) * headDim;
  let sum = 0;
  for (let d = 0; d < headDim; d++) {
    sum = sum + dOut[dOutAt + start + d] * out[outAt + start + d];
  }
  return sum;`,
);

/** dS = P * (dOut v^T - D) * scale */
export const D_SCORES = kernel(
  'dScores',
  ['p', 'dOut', 'v', 'delta'],
  [...SIZES, 'scale'],
  `${SCORE_CELL}
  const probability = p[pAt + this.thread.x];
  let value = 0;
  if (probability > 0) {
    let sum = 0;
    for (let d = 0; d < headDim; d++) {
      sum = sum + dOut[dOutAt + queryRow + d] * v[vAt + keyRow + d];
    }
    value = probability * (sum - delta[deltaAt + line]) * scale;
  }
  return value;`,
);
