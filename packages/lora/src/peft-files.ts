import type { Backend } from '@qlorajs/compute';
import { QLoraError } from '@qlorajs/errors';
import { type FolderSource, openSafetensors, writeSafetensors } from '@qlorajs/safetensors';
import { buildAdapter, type LoraAdapter } from './adapter.js';
import type { LoraConfig } from './config.js';
import { formatPeftConfig, parsePeftConfig } from './peft-config.js';
import { type BaseShapes, planAdapter, plannedTensors } from './plan.js';
import type { TargetShape } from './targets.js';

const CONFIG_FILE = 'adapter_config.json';
const MODEL_FILE = 'adapter_model.safetensors';

/** A PEFT adapter folder, read but not yet checked against a base. */
export interface PeftAdapterFiles {
  /** Folder, for messages. */
  readonly name: string;
  readonly config: LoraConfig;
  /** Keys of the configuration that were dropped. */
  readonly warnings: readonly string[];
  /** F16 and BF16 are widened to f32, as PEFT does. */
  readonly tensors: ReadonlyMap<
    string,
    { readonly shape: readonly number[]; readonly values: Float32Array }
  >;
}

async function expectFiles(folder: FolderSource): Promise<void> {
  for (const file of [CONFIG_FILE, MODEL_FILE]) {
    if (await folder.has(file)) continue;
    const pickle = file === MODEL_FILE && (await folder.has('adapter_model.bin'));
    throw new QLoraError(
      'LORA_FILE_MISSING',
      pickle
        ? `${folder.name} holds adapter_model.bin, a Python pickle, which is not read because it can run code; convert it with PEFT: PeftModel.from_pretrained(base, folder).save_pretrained(folder, safe_serialization=True)`
        : `${folder.name} has no ${file}; point to the folder that PEFT or qlora train wrote`,
      { details: { folder: folder.name, file } },
    );
  }
}

/**
 * Reads `adapter_config.json` and `adapter_model.safetensors`.
 *
 * @throws QLoraError `LORA_FILE_MISSING`; what {@link parsePeftConfig} and the safetensors reader throw.
 */
export async function readPeftAdapter(folder: FolderSource): Promise<PeftAdapterFiles> {
  await expectFiles(folder);
  const source = await folder.open(CONFIG_FILE);
  const text = new TextDecoder().decode(await source.read(0, source.size));
  await source.close?.();
  const parsed = parsePeftConfig(text, `${folder.name}/${CONFIG_FILE}`);
  const file = await openSafetensors(await folder.open(MODEL_FILE));
  try {
    const tensors = new Map<string, { shape: readonly number[]; values: Float32Array }>();
    for (const [key, { shape }] of file.tensors)
      tensors.set(key, { shape, values: await file.readFloat32(key) });
    return { name: folder.name, ...parsed, tensors };
  } finally {
    await file.close();
  }
}

function listed(title: string, lines: readonly string[]): string[] {
  if (lines.length === 0) return [];
  const more = lines.length > 4 ? ` and ${lines.length - 4} more` : '';
  return [`${title} ${lines.slice(0, 4).join(', ')}${more}`];
}

/**
 * Puts an adapter that was read on a device. Strict: every key and shape must be the one that the
 * configuration asks for on this base.
 *
 * @param modules Every linear layer of the base.
 * @param options.embedding The base's token table; needed with `trainable_token_indices`.
 * @param options.savable What `modules_to_save` may name; needed with it.
 * @throws QLoraError `LORA_ADAPTER_MISMATCH` with `details.missing`, `.unexpected` and `.shapes`.
 */
export function loadAdapter(
  backend: Backend,
  files: PeftAdapterFiles,
  modules: readonly TargetShape[],
  options: BaseShapes = {},
): LoraAdapter {
  const plan = planAdapter(files.config, modules, options);
  const planned = plannedTensors(plan);
  const wanted = new Set(planned.map(({ key }) => key));
  const missing = planned.map(({ key }) => key).filter((key) => !files.tensors.has(key));
  const unexpected = [...files.tensors.keys()].filter((key) => !wanted.has(key));
  const shapes = planned.flatMap(({ key, shape }) => {
    const found = files.tensors.get(key)?.shape;
    if (found === undefined || String(found) === String(shape)) return [];
    return [`${key} is [${found}] instead of [${shape}]`];
  });
  const problems = [
    ...listed('missing:', missing),
    ...listed('not expected:', unexpected),
    ...listed('shape:', shapes),
  ];
  if (problems.length > 0)
    throw new QLoraError(
      'LORA_ADAPTER_MISMATCH',
      `${files.name}: the adapter does not fit this base; ${problems.join('; ')}. Load it on the base it was trained on (${files.config.baseModelNameOrPath ?? 'not recorded'})`,
      { details: { folder: files.name, missing, unexpected, shapes } },
    );
  return buildAdapter(backend, files.config, plan, ({ key }) => files.tensors.get(key)!.values);
}

/**
 * The two files of an adapter folder, as PEFT saves them: F32, metadata `{"format":"pt"}`.
 * Python's `PeftModel.from_pretrained(base, folder)` loads them.
 */
export async function exportPeftAdapter(adapter: LoraAdapter): Promise<{
  readonly 'adapter_config.json': string;
  readonly 'adapter_model.safetensors': Uint8Array;
}> {
  const tensors: Record<string, { dtype: 'F32'; shape: readonly number[]; data: Float32Array }> =
    {};
  for (const { name, value } of adapter.parameters())
    tensors[name] = { dtype: 'F32', shape: value.shape, data: await adapter.backend.read(value) };
  return {
    [CONFIG_FILE]: formatPeftConfig(adapter.config),
    [MODEL_FILE]: writeSafetensors(tensors, { format: 'pt' }),
  };
}
