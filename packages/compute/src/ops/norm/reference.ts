import { floats } from '../../reference/storage.js';
import { type ClipScaleArgs, checkClipScale, checkSumSquares, type SumSquaresArgs } from './op.js';

export function sumSquares(args: SumSquaresArgs): void {
  checkSumSquares(args);
  const out = floats(args.out);
  const sum = floats(args.x).reduce((total, value) => total + value * value, 0);
  out[0] = args.accumulate ? out[0] + sum : sum;
}

export function clipScale(args: ClipScaleArgs): void {
  checkClipScale(args);
  const norm = Math.sqrt(floats(args.sumSquares)[0]);
  floats(args.out)[0] = args.maxNorm > 0 ? Math.min(1, args.maxNorm / (norm + 1e-6)) : 1;
}
