import type { Backend } from '@qlorajs/compute';
import type { TensorSource } from '@qlorajs/safetensors';
import type { PhiConfig } from './config.js';
import { type LoadOptions, loadWeights } from './load.js';
import { PhiModel } from './model.js';

/**
 * Loads a Phi checkpoint onto a backend.
 * @throws QLoraError `PHI_TENSORS` when the weights do not fit the config
 */
export async function loadPhi(
  backend: Backend,
  config: PhiConfig,
  source: TensorSource,
  options: LoadOptions,
): Promise<PhiModel> {
  const { weights, report, pages } = await loadWeights(backend, config, source, options);
  return new PhiModel(backend, config, weights, report, pages);
}
