import { bitsThreshold, counterBits, counterKey } from '../../random.js';
import { floats } from '../../reference/storage.js';
import { checkDropout, type DropoutArgs } from './op.js';

export function dropout(args: DropoutArgs): void {
  checkDropout(args);
  const [x, out] = [floats(args.x), floats(args.out)];
  const key = counterKey(args.seed, args.stream);
  const threshold = bitsThreshold(args.probability);
  const first = args.first ?? 0;
  const scale = 1 / (1 - args.probability);
  for (let i = 0; i < x.length; i++) {
    const value = counterBits(key, first + i) >= threshold ? x[i] * scale : 0;
    out[i] = args.accumulate ? out[i] + value : value;
  }
}
