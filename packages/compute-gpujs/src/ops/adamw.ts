import { checkAdamW, type Ops } from '@qlorajs/compute';
import type { Engine } from '../engine.js';
import { kernel } from '../kernel.js';

const FIRST_MOMENT = kernel(
  'firstMoment',
  ['m', 'gradient', 'scale'],
  ['beta', 'rest'],
  `
  const g = gradient[gradientAt + this.thread.x] * scale[scaleAt];
  return beta * m[mAt + this.thread.x] + rest * g;`,
);

const SECOND_MOMENT = kernel(
  'secondMoment',
  ['v', 'gradient', 'scale'],
  ['beta', 'rest'],
  `
  const g = gradient[gradientAt + this.thread.x] * scale[scaleAt];
  return beta * v[vAt + this.thread.x] + rest * g * g;`,
);

const UPDATE = kernel(
  'adamwUpdate',
  ['parameter', 'm', 'v'],
  ['keep', 'rate', 'correction', 'epsilon'],
  `
  const root = Math.sqrt(v[vAt + this.thread.x]) / correction + epsilon;
  return keep * parameter[parameterAt + this.thread.x] - rate * m[mAt + this.thread.x] / root;`,
);

export function adamwOps(engine: Engine): Pick<Ops, 'adamw'> {
  return {
    adamw(args) {
      checkAdamW(args);
      const { parameter, gradient, firstMoment, secondMoment, scale, step } = args;
      const { learningRate, beta1, beta2, epsilon, weightDecay } = args;
      const { size } = parameter;
      const moment = [gradient, scale];
      engine.store(
        firstMoment,
        engine.run(FIRST_MOMENT, [firstMoment, ...moment], [beta1, 1 - beta1], size),
      );
      engine.store(
        secondMoment,
        engine.run(SECOND_MOMENT, [secondMoment, ...moment], [beta2, 1 - beta2], size),
      );
      const rate = learningRate / (1 - beta1 ** step);
      const numbers = [1 - learningRate * weightDecay, rate, Math.sqrt(1 - beta2 ** step), epsilon];
      const state = [parameter, firstMoment, secondMoment];
      engine.store(parameter, engine.run(UPDATE, state, numbers, size));
    },
  };
}
