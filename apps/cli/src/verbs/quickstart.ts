import { trainingOptions } from '../options/training-options.js';
import { verb } from './verb.js';
export const quickstart = verb({
  name: 'quickstart',
  summary: '',
  options: trainingOptions,
  async run() {
    return 0;
  },
});
