import { toQuantizationConfig } from '@qlorajs/quant-nf4';

/**
 * The text of a config.json with bitsandbytes' `quantization_config`.
 * @param source without one
 */
export function withQuantizationConfig(source: string, doubleQuant: boolean): string {
  // As text: JSON.stringify would turn the 0.0 of a float into 0, which transformers refuses.
  const text = source.trimEnd();
  const quantization = JSON.stringify(toQuantizationConfig({ doubleQuant }), null, 2);
  const entry = `"quantization_config": ${quantization}`.replaceAll('\n', '\n  ');
  return `${text.slice(0, text.lastIndexOf('}')).trimEnd()},\n  ${entry}\n}\n`;
}
