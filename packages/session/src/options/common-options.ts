import { option, optional, required } from './table.js';
import { choice, integer, text, texts, toggle } from './value-types.js';

/** What every verb takes besides its own options. */
export const uiOptions = {
  json: option(toggle, false, 'print one JSON document on stdout and nothing else there'),
  verbose: option(toggle, false, 'more detail on stderr, stack traces included'),
  quiet: option(toggle, false, 'no progress and no notices; warnings and errors stay'),
};

/** Where and how computing happens. */
export const backendOptions = {
  backend: option(
    choice('auto', 'webgpu', 'wasm', 'gpujs', 'reference'),
    'auto',
    'what computes; reference is the slow float64 oracle',
  ),
  threads: optional(integer(1), 'threads of the CPU backend (default: all cores)'),
  gpujs_mode: optional(
    choice('cpu', 'webasm', 'gpu'),
    'where --backend gpujs computes (default: webasm); gpu needs the package gl',
  ),
  experimental_simd: option(
    toggle,
    false,
    "V8's experimental SIMD flags for the CPU backend: faster, and Node may not keep them",
  ),
};

/** How the base's weights are held. */
export const quantizationOptions = {
  load_in_4bit: option(toggle, true, "quantize the blocks' linear layers to 4 bits while loading"),
  bnb_4bit_quant_type: option(choice('nf4'), 'nf4', 'the 4-bit format'),
  bnb_4bit_use_double_quant: option(toggle, true, 'quantize the scales too'),
  cache: option(toggle, true, 'keep the quantized layers of a large base for the next start'),
};

const BASE = 'Hugging Face folder of a Phi model, its id on the Hub (microsoft/phi-2), or phi-nano';

export const baseOption = { base: required(text('DIR|ID|phi-nano'), BASE) };

export const optionalBaseOption = {
  base: optional(text('DIR|ID|phi-nano'), `${BASE} (default: the adapter's own)`),
};

export const adapterOption = { adapter: optional(text('DIR'), 'PEFT adapter folder') };

export const adaptersOption = {
  adapter: optional(texts('DIR'), 'PEFT adapter folder; repeatable'),
};
