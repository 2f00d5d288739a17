import { floats } from '../../reference/storage.js';
import { type AdamWArgs, checkAdamW } from './op.js';

export function adamw(args: AdamWArgs): void {
  checkAdamW(args);
  const { learningRate, beta1, beta2, epsilon, weightDecay, step } = args;
  const [p, g, m, v] = [args.parameter, args.gradient, args.firstMoment, args.secondMoment].map(
    floats,
  );
  const scale = floats(args.scale)[0];
  const correction1 = 1 - beta1 ** step;
  const correction2 = Math.sqrt(1 - beta2 ** step);
  for (let i = 0; i < p.length; i++) {
    const gradient = g[i] * scale;
    // Moments are f32 in every engine, in checkpoints and in pages: rounded, they survive all three.
    m[i] = Math.fround(beta1 * m[i] + (1 - beta1) * gradient);
    v[i] = Math.fround(beta2 * v[i] + (1 - beta2) * gradient * gradient);
    p[i] =
      p[i] * (1 - learningRate * weightDecay) -
      ((learningRate / correction1) * m[i]) / (Math.sqrt(v[i]) / correction2 + epsilon);
  }
}
