import {
  type ClipScaleArgs,
  checkClipScale,
  checkSumSquares,
  type SumSquaresArgs,
} from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../../device/kernel.js';
import type { Engine } from '../../engine.js';
import { eachRow, REDUCE, WIDTH } from '../../wgsl/flat.js';

/** Elements of one workgroup; the order of the sum depends on nothing but the size. */
const SPAN = WIDTH * 32;
const MAX_PARTS = 1024;

/** out[row] = sum of f(x) over row's span. */
function sumKernel(
  name: string,
  term: string,
  accumulate: boolean,
): KernelSpec<'x' | 'out', 'rows' | 'size' | 'span'> {
  return {
    key: accumulate ? `${name}, accumulated` : name,
    bindings: { x: read(), out: write() },
    params: { rows: 'u32', size: 'u32', span: 'u32' },
    body: eachRow(
      /* wgsl */ `
  let end = min(p.size, (row + 1u) * p.span);
  var sum = 0.0;
  for (var i = row * p.span + local; i < end; i += ${WIDTH}u) {
    let v = x[p.xAt + i];
    sum += ${term};
  }
  let total = reduceSum(sum, local);
  if (local == 0u) { out[p.outAt + row] = ${accumulate ? 'out[p.outAt + row] + total' : 'total'}; }`,
      REDUCE,
    ),
  };
}

const SQUARES = sumKernel('sumSquares', 'v * v', false);
const SQUARES_ACCUMULATED = sumKernel('sumSquares', 'v * v', true);
const SUM = sumKernel('sum', 'v', false);
const SUM_ACCUMULATED = sumKernel('sum', 'v', true);

const CLIP: KernelSpec<'sumSquares' | 'out', 'maxNorm'> = {
  key: 'clipScale',
  bindings: { sumSquares: read(), out: write() },
  params: { maxNorm: 'f32' },
  body: /* wgsl */ `
@compute @workgroup_size(1)
fn main() {
  let norm = sqrt(sumSquares[p.sumSquaresAt]);
  out[p.outAt] = select(1.0, min(1.0, p.maxNorm / (norm + 1e-6)), p.maxNorm > 0.0);
}`,
};

export function sumSquares(engine: Engine, args: SumSquaresArgs): void {
  checkSumSquares(args);
  const { x, out, accumulate } = args;
  const { recorder } = engine;
  const size = x.size;
  if (size <= SPAN) {
    const kernel = accumulate ? SQUARES_ACCUMULATED : SQUARES;
    recorder.dispatch(kernel, { x, out }, { rows: 1, size, span: size }, [1]);
    return;
  }
  const span = Math.max(SPAN, Math.ceil(size / MAX_PARTS));
  const rows = Math.ceil(size / span);
  const partials = engine.scratch.get('partials', 'f32', MAX_PARTS);
  recorder.dispatch(SQUARES, { x, out: partials }, { rows, size, span }, [rows]);
  const last = accumulate ? SUM_ACCUMULATED : SUM;
  recorder.dispatch(last, { x: partials, out }, { rows: 1, size: rows, span: rows }, [1]);
}

export function clipScale(engine: Engine, args: ClipScaleArgs): void {
  checkClipScale(args);
  const { sumSquares: squares, maxNorm, out } = args;
  engine.recorder.dispatch(CLIP, { sumSquares: squares, out }, { maxNorm }, [1]);
}
