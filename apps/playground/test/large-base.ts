import { once } from 'node:events';
import {
  copyFileSync,
  createReadStream,
  createWriteStream,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { parsePhiConfig, phiTensors } from '@qlorajs/phi2-model';
import { fromFloat32, planShards, safetensorsChunks } from '@qlorajs/safetensors';
import { Hono } from 'hono';

const nano = fileURLToPath(new URL('../../../packages/phi-nano/model/', import.meta.url));

/** Values that are drawn once; tensors take their pieces of them. */
const DRAWN = 2 ** 22;

function normal(std: number): Uint8Array {
  const values = new Float32Array(DRAWN);
  for (let i = 0; i < DRAWN; i += 2) {
    const radius = std * Math.sqrt(-2 * Math.log(1 - Math.random()));
    const angle = 2 * Math.PI * Math.random();
    values[i] = radius * Math.cos(angle);
    values[i + 1] = radius * Math.sin(angle);
  }
  return fromFloat32(values, 'F16');
}

/** Writes a Phi of Phi-2's proportions with random weights in fp16, and phi-nano's tokenizer. */
export async function makeBase(
  folder: string,
  shape: { readonly layers: number; readonly hidden: number; readonly vocab: number },
  maxShardSize: number,
): Promise<{ readonly bytes: number; readonly files: string[] }> {
  const config = {
    ...{ architectures: ['PhiForCausalLM'], model_type: 'phi', hidden_act: 'gelu_new' },
    ...{ vocab_size: shape.vocab, hidden_size: shape.hidden, num_hidden_layers: shape.layers },
    ...{ intermediate_size: 4 * shape.hidden, num_attention_heads: shape.hidden / 80 },
    ...{ partial_rotary_factor: 0.4, max_position_embeddings: 2048, torch_dtype: 'float16' },
  };
  const tensors = [...phiTensors(parsePhiConfig(config, 'config.json'))].map(
    ([name, dims]) => ({ name, dtype: 'F16', shape: dims }) as const,
  );
  const plan = planShards(tensors, { maxShardSize });
  const drawn = normal(0.02);
  const ones = fromFloat32(new Float32Array(shape.hidden).fill(1), 'F16');
  const sizes = new Map(
    tensors.map(({ name, shape: dims }) => [name, 2 * dims.reduce((a, b) => a * b, 1)]),
  );
  const valuesOf = (name: string): Uint8Array => {
    if (/layernorm\.weight$/.test(name)) return ones;
    const bytes = new Uint8Array(sizes.get(name)!);
    for (let at = 0; at < bytes.length; at += drawn.length)
      bytes.set(drawn.subarray(0, Math.min(drawn.length, bytes.length - at)), at);
    return bytes;
  };
  for (const { file, tensors: infos } of plan.shards) {
    const out = createWriteStream(join(folder, file));
    for await (const chunk of safetensorsChunks(infos, valuesOf))
      if (!out.write(chunk)) await once(out, 'drain');
    out.end();
    await once(out, 'finish');
  }
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  if (plan.index) writeFileSync(join(folder, plan.index.file), plan.index.text);
  for (const file of ['tokenizer.json', 'tokenizer_config.json'])
    copyFileSync(nano + file, join(folder, file));
  return { bytes: plan.totalSize, files: plan.shards.map(({ file }) => file) };
}

/** Adds a folder to the page's site, with ranges, a file of gigabytes at a time. */
export function withFolder(site: Hono, path: string, folder: string): Hono {
  return new Hono()
    .get(`${path}:file`, ({ req, body }) => {
      const file = join(folder, req.param('file')!);
      const size = statSync(file, { throwIfNoEntry: false })?.size;
      if (size === undefined) return body('there is no such file', 404);
      const start = Number(/^bytes=(\d+)-$/.exec(req.header('Range') ?? '')?.[1] ?? 0);
      const stream = Readable.toWeb(createReadStream(file, { start })) as ReadableStream;
      const told = { ETag: `"${size}"`, 'Content-Length': String(size - start) };
      if (start === 0) return body(stream, 200, told);
      return body(stream, 206, { ...told, 'Content-Range': `bytes ${start}-${size - 1}/${size}` });
    })
    .route('/', site);
}
