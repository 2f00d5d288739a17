import type { Backend, Tensor } from '@qlorajs/compute';

/** Random bytes, the same for every tensor: 16 MiB of them. */
const noise = new Uint8Array(2 ** 24);
for (let i = 0, x = 1; i < noise.length; i++) {
  x = Math.imul(x, 1664525) + 1013904223;
  noise[i] = x >>> 24;
}

/** Weights of about 0.02: whatever is asked for by a name of the base gets values. */
export function withRandomWeights(backend: Backend): Backend {
  const bytes = (tensor: Tensor, write: (size: number, at: number) => void) => {
    for (let at = 0; at < tensor.size; at += noise.length)
      write(Math.min(noise.length, tensor.size - at), at);
  };
  const fill = (tensor: Tensor): void => {
    const { dtype, label, size } = tensor;
    if (dtype === 'u8') bytes(tensor, (n, at) => backend.write(tensor, noise.subarray(0, n), at));
    else if (dtype === 'f16') {
      const halves = Uint16Array.from(noise, (byte) => ((byte & 1) << 15) | 0x2000 | byte);
      bytes(tensor, (n, at) => backend.write(tensor, halves.subarray(0, n), at));
    } else if (size > 2 ** 22) {
      const floats = Float32Array.from(noise, (byte) => (byte - 128) / 6400);
      bytes(tensor, (n, at) => backend.write(tensor, floats.subarray(0, n), at));
    } else if (/quant_map$|norm\.weight$/.test(label))
      backend.write(tensor, new Float32Array(size).fill(1));
    else if (/absmax$/.test(label)) backend.write(tensor, new Float32Array(size).fill(0.02));
  };
  return {
    ...backend,
    empty(dtype, dimensions, label) {
      const tensor = backend.empty(dtype, dimensions, label);
      if (/^(model|lm_head)\./.test(label ?? '')) fill(tensor);
      return tensor;
    },
  };
}
