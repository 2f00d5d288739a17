import { choice, integer, number, type OptionsOf, option, optional, text } from '@qlorajs/session';
import type { RayOptions } from './run-on-ray.js';

/** Where the trials of a sweep are run, by the names of the flags. */
export const rayOptions = {
  on: option(choice('here', 'ray'), 'here', 'one after the other here, or as tasks of Ray'),
  workers: option(integer(1), 2, 'trials at one time, where Ray is started here'),
  trial_cpus: option(integer(1), 1, 'CPUs of a trial on Ray'),
  trial_gpus: option(number(0), 0, 'GPUs of a trial on Ray; may be a fraction'),
  max_retries: option(integer(0), 3, 'how often Ray tries a trial again whose worker died'),
  ray_address: optional(text('ADDRESS'), 'cluster (default: RAY_ADDRESS, else Ray starts here)'),
  python: option(text('FILE'), 'python3', 'a Python that can import ray'),
  cli: optional(text('FILE'), "qlora on the cluster's machines (default: this one)"),
};

/** The flags as {@link RayOptions}. */
export function ofRay(options: OptionsOf<typeof rayOptions>, verbose: boolean): RayOptions {
  return {
    ...{ python: options.python, cli: options.cli, verbose },
    address: options.rayAddress,
    workers: options.workers,
    cpus: options.trialCpus,
    gpus: options.trialGpus,
    maxRetries: options.maxRetries,
  };
}
