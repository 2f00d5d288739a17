import type { AttentionArgs } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../../device/kernel.js';
import type { Engine } from '../../engine.js';
import { Memo } from '../../memo.js';
import { attentionHalves } from './halves.js';
import {
  each,
  HALVES_OF,
  keyRange,
  LOG2_E,
  left,
  MATRIX_DIRECTIVES,
  OWNED,
  ownedSquares,
  RESULT,
  right,
  rightOfRows,
  rowVectors,
  squaresOf,
  staging,
  THREADS,
} from './matrix-tile.js';
import {
  type AttentionShape,
  MASK_PARAMS,
  maskBindings,
  maskFunctions,
  maskParams,
  maskTensors,
  shapeKey,
} from './tile.js';

/** Keys of a step. */
const STEP = 64;
/** Vectors of four scores from one row to the next; a gap in the middle keeps two lanes' halves apart. */
const SCORE_STRIDE = STEP / 4 + 2;
/** Vectors of eight halves from one row of weights to the next. */
const WEIGHT_STRIDE = STEP / 8 + 1;

const kernels = new Memo<KernelSpec>();

/**
 * A workgroup owns 64 queries of a head, a subgroup 16 of them, and two lanes a row. Keys come 64 at a
 * time. Scores go through workgroup memory, since a subgroup matrix has no elements to work on: a lane
 * turns half of a row into weights, and what these give of v is added to sums in the lanes' own
 * registers, with a running maximum (https://arxiv.org/abs/2205.14135). Weights take the place of the
 * keys, and results that of the scores.
 */
function forwardKernel(key: string, shape: AttentionShape): KernelSpec {
  const { headDim } = shape;
  const squares = squaresOf(headDim);
  const stride = rowVectors(headDim);
  const resultStride = headDim / 4 + 2;
  const place = 16 * Math.max(SCORE_STRIDE, resultStride);
  const keys = staging(headDim, 'k', STEP);
  const values = staging(headDim, 'v', STEP);
  const groups = STEP / 8;
  const parts = headDim / 8;
  const four = (c: number) => `vec4i(${[0, 1, 2, 3].map((i) => 4 * c + i).join(', ')})`;
  const load = (first: string) => `${keys.load(`kAt + (${first}) * ${headDim / 8}u`)}
    ${values.load(`vAt + (${first}) * ${headDim / 8}u`)}`;
  const seen = (side: string, c: number) =>
    `(${four(c)} < vec4i(${side}))${shape.hasFirst ? ` & (${four(c)} >= vec4i(${side}From))` : ''}`;
  return {
    key,
    directives: MATRIX_DIRECTIVES,
    bindings: {
      halves: read('vec4u'),
      ...maskBindings(shape),
      out: write('vec4f'),
      logSumExp: write(),
    },
    params: {
      ...MASK_PARAMS,
      ...({ perQuery: 'u32', perKey: 'u32', qPart: 'u32', kPart: 'u32', vPart: 'u32' } as const),
    },
    body: /* wgsl */ `
const NONE = -3.4028234e38;
var<workgroup> keys: array<vec4u, ${Math.max(STEP * stride, 4 * 16 * WEIGHT_STRIDE)}>;
var<workgroup> values: array<vec4u, ${STEP * stride}>;
var<workgroup> scores: array<vec4f, ${4 * place}>;
${maskFunctions(shape)}
${HALVES_OF}
@compute @workgroup_size(${THREADS})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let head = group.y;
  let batch = group.z;
  // The longest rows first.
  let firstOwned = (groups.x - 1u - group.x) * ${OWNED}u;
  let lastQuery = min(firstOwned + ${OWNED}u, p.queryLength) - 1u;
  let row = lane / 2u;
  let half = lane % 2u;
  let query = min(firstOwned + subgroup * 16u + row, lastQuery);
  let begin = firstOf(batch, query);
  let end = endOf(batch, query);
  ${keyRange(shape, STEP)}
  let headAt = batch * p.heads + head;
  let qAt = p.qPart + headAt * p.perQuery + (firstOwned + subgroup * 16u) * ${headDim / 8}u;
  let kAt = p.kPart + headAt * p.perKey;
  let vAt = p.vPart + headAt * p.perKey;
  let scale = p.scale * ${LOG2_E};
  let mine = subgroup * ${place}u;
  let weightsAt = subgroup * ${16 * WEIGHT_STRIDE}u;
  ${ownedSquares(headDim, 'q', 1, 'qAt')}
  ${each(parts, (d) => `var o${d} = vec4f();`)}
  var largest = NONE;
  var sum = 0.0;
  ${keys.registers}
  ${values.registers}
  if (tileStart < tileEnd) { ${load('tileStart')} }
  for (var first = tileStart; first < tileEnd; first += ${STEP}u) {
    ${keys.keep('keys', '0u')}
    ${values.keep('values', '0u')}
    workgroupBarrier();
    // On their way while this step's are worked on.
    if (first + ${STEP}u < tileEnd) { ${load(`first + ${STEP}u`)} }
    {
      ${each(STEP / 16, (j) => `var c${j} = ${RESULT}();`)}
      ${each(squares, (s) =>
        each(
          STEP / 16,
          (j) =>
            `c${j} = subgroupMatrixMultiplyAccumulate(q0_${s}, ${rightOfRows('keys', `${16 * j * stride + 2 * s}u`, stride)}, c${j});`,
        ),
      )}
      ${each(
        STEP / 16,
        (j) =>
          `subgroupMatrixStore<row_major>(&scores, mine + ${4 * j + (j >= STEP / 32 ? 1 : 0)}u, c${j}, ${SCORE_STRIDE});`,
      )}
    }
    workgroupBarrier();
    let rowAt = mine + row * ${SCORE_STRIDE}u;
    let ownAt = rowAt + half * ${groups + 1}u;
    let otherAt = rowAt + (1u - half) * ${groups + 1}u;
    // The first and the last of the row's keys, counted from the first key of each half.
    let own = i32(end) - i32(first + half * ${STEP / 2}u);
    let other = i32(end) - i32(first + (1u - half) * ${STEP / 2}u);
    ${
      shape.hasFirst
        ? `let ownFrom = i32(begin) - i32(first + half * ${STEP / 2}u);
    let otherFrom = i32(begin) - i32(first + (1u - half) * ${STEP / 2}u);`
        : ''
    }
    var most = vec4f(NONE);
    ${each(
      groups,
      (c) => `let s${c} = select(vec4f(NONE), scores[ownAt + ${c}u], ${seen('own', c)});
    most = max(most, s${c});
    most = max(most, select(vec4f(NONE), scores[otherAt + ${c}u], ${seen('other', c)}));`,
    )}
    let grown = max(largest, max(max(most.x, most.y), max(most.z, most.w)));
    // A row that has seen nothing has no maximum: its weights are zero all the same.
    let middle = select(grown * scale, 0.0, grown == NONE);
    let shrink = select(exp2(largest * scale - middle), 0.0, largest == NONE);
    var total = vec4f();
    ${each(
      groups / 2,
      (c) => `{
      let a = exp2(s${2 * c} * scale - middle);
      let b = exp2(s${2 * c + 1} * scale - middle);
      total += a + b;
      keys[weightsAt + row * ${WEIGHT_STRIDE}u + half * ${groups / 2}u + ${c}u] = halvesOf(a, b);
    }`,
    )}
    sum = sum * shrink + (total.x + total.y) + (total.z + total.w);
    largest = grown;
    workgroupBarrier();
    ${each(STEP / 16, (s) => `let w${s} = ${left('keys', `weightsAt + ${2 * s}u`, WEIGHT_STRIDE)};`)}
    ${each(squares, (d) => `var r${d} = ${RESULT}();`)}
    ${each(STEP / 16, (s) =>
      each(
        squares,
        (d) =>
          `r${d} = subgroupMatrixMultiplyAccumulate(w${s}, ${right('values', `${16 * s * stride + 2 * d}u`, stride)}, r${d});`,
      ),
    )}
    ${each(squares, (d) => `subgroupMatrixStore<row_major>(&scores, mine + ${4 * d}u, r${d}, ${resultStride});`)}
    workgroupBarrier();
    ${each(parts, (d) => `o${d} = o${d} * shrink + scores[mine + row * ${resultStride}u + ${2 * d}u + half];`)}
  }
  // Both lanes of a row have the same maximum.
  workgroupBarrier();
  scores[subgroup * 32u + lane].x = sum;
  workgroupBarrier();
  let all = scores[subgroup * 32u + 2u * row].x + scores[subgroup * 32u + 2u * row + 1u].x;
  let factor = select(0.0, 1.0 / all, all > 0.0);
  if (firstOwned + subgroup * 16u + row <= lastQuery) {
    let to = p.outAt / 4u + ((batch * p.queryLength + query) * p.heads + head) * ${headDim / 4}u + half;
    ${each(parts, (d) => `out[to + ${2 * d}u] = o${d} * factor;`)}
    if (half == 0u) {
      let at = p.logSumExpAt + headAt * p.queryLength + query;
      logSumExp[at] = select(0.0, largest * p.scale + log(all), all > 0.0);
    }
  }
}`,
  };
}

export function attentionMatrix(engine: Engine, args: AttentionArgs): void {
  const { out, logSumExp, headDim, batch, heads, queryLength } = args;
  const shape: AttentionShape = {
    headDim,
    tile: OWNED,
    hasStart: args.queryStart !== null,
    hasFirst: args.firstKeys !== null,
  };
  const key = `attention matrix ${shapeKey(shape)}`;
  const kernel = kernels.get(key, () => forwardKernel(key, shape));
  const { halves, at, perQuery, perKey } = attentionHalves(engine, args, args);
  const parts = { qPart: at.q, kPart: at.k, vPart: at.v };
  const params = { ...maskParams(args), perQuery, perKey, ...parts };
  const groups = [Math.ceil(queryLength / OWNED), heads, batch] as const;
  const tensors = { halves, ...maskTensors(args), out, logSumExp };
  engine.recorder.dispatch(kernel, tensors, params, groups);
}
