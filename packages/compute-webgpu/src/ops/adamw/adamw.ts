import { type AdamWArgs, checkAdamW } from '@qlorajs/compute';
import { type KernelSpec, read, write } from '../../device/kernel.js';
import { type Engine, flatGroups } from '../../engine.js';
import { eachElement, WIDTH } from '../../wgsl/flat.js';

const ADAMW: KernelSpec<
  'parameter' | 'gradient' | 'firstMoment' | 'secondMoment' | 'scale',
  | 'size'
  | 'keep'
  | 'stepSize'
  | 'beta1'
  | 'beta2'
  | 'rest1'
  | 'rest2'
  | 'rootCorrection2'
  | 'epsilon'
> = {
  key: 'adamw',
  bindings: {
    parameter: write(),
    gradient: read(),
    firstMoment: write(),
    secondMoment: write(),
    scale: read(),
  },
  params: {
    size: 'u32',
    keep: 'f32',
    stepSize: 'f32',
    beta1: 'f32',
    beta2: 'f32',
    rest1: 'f32',
    rest2: 'f32',
    rootCorrection2: 'f32',
    epsilon: 'f32',
  },
  body: eachElement(/* wgsl */ `
  let g = gradient[p.gradientAt + i] * scale[p.scaleAt];
  let m = p.beta1 * firstMoment[p.firstMomentAt + i] + p.rest1 * g;
  let v = p.beta2 * secondMoment[p.secondMomentAt + i] + p.rest2 * g * g;
  firstMoment[p.firstMomentAt + i] = m;
  secondMoment[p.secondMomentAt + i] = v;
  let old = parameter[p.parameterAt + i] * p.keep;
  parameter[p.parameterAt + i] = old - p.stepSize * m / (sqrt(v) / p.rootCorrection2 + p.epsilon);`),
};

export function adamw(engine: Engine, args: AdamWArgs): void {
  checkAdamW(args);
  const { parameter, gradient, firstMoment, secondMoment, scale } = args;
  const { learningRate, beta1, beta2, epsilon, weightDecay, step } = args;
  const { size } = parameter;
  const params = {
    size,
    keep: 1 - learningRate * weightDecay,
    stepSize: learningRate / (1 - beta1 ** step),
    beta1,
    beta2,
    rest1: 1 - beta1,
    rest2: 1 - beta2,
    rootCorrection2: Math.sqrt(1 - beta2 ** step),
    epsilon,
  };
  const tensors = { parameter, gradient, firstMoment, secondMoment, scale };
  engine.recorder.dispatch(ADAMW, tensors, params, flatGroups(Math.ceil(size / WIDTH)));
}
