import type { TargetShape } from '../src/index.js';

/** The linear layers of a Phi model, the head included. */
export function phiModules(shape: {
  layers: number;
  hidden: number;
  intermediate: number;
  vocabulary: number;
}): TargetShape[] {
  const { layers, hidden, intermediate, vocabulary } = shape;
  const blocks = Array.from({ length: layers }, (_, i) => {
    const attention = ['q_proj', 'k_proj', 'v_proj', 'dense'].map((name) => ({
      name: `model.layers.${i}.self_attn.${name}`,
      inFeatures: hidden,
      outFeatures: hidden,
    }));
    const mlp = `model.layers.${i}.mlp`;
    return [
      ...attention,
      { name: `${mlp}.fc1`, inFeatures: hidden, outFeatures: intermediate },
      { name: `${mlp}.fc2`, inFeatures: intermediate, outFeatures: hidden },
    ];
  });
  return [...blocks.flat(), { name: 'lm_head', inFeatures: hidden, outFeatures: vocabulary }];
}

/** The base of the generated fixture folders. */
export const FIXTURE_MODULES = phiModules({
  layers: 1,
  hidden: 16,
  intermediate: 32,
  vocabulary: 24,
});
