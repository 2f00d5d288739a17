// What a page does with the packages: a layer quantized to NF4, an adapter trained on it, a file for PEFT.
import { compileChatTemplate, TUTOR_CHAT_TEMPLATE } from '@qlorajs/chat-template';
import { tensorFrom } from '@qlorajs/compute';
import { createWasmBackend } from '@qlorajs/compute-wasm';
import { createWebGpuBackend } from '@qlorajs/compute-webgpu';
import { readJsonl } from '@qlorajs/dataset';
import { createAdapter, defaultLoraConfig, exportPeftAdapter, loraForward } from '@qlorajs/lora';
import { createAdamW } from '@qlorajs/paged-optim';
import { parsePhiConfig } from '@qlorajs/phi2-model';
import { dequantizeNf4, quantizeNf4 } from '@qlorajs/quant-nf4';
import { loadTokenizer } from '@qlorajs/tokenizer';
import { planSteps } from '@qlorajs/trainer';

const line =
  '{"messages":[{"role":"user","content":"¿Pila?"},{"role":"assistant","content":"LIFO"}]}';
const { rows } = readJsonl(new TextEncoder().encode(line), { file: 'chats.jsonl' });
const { text } = compileChatTemplate(TUTOR_CHAT_TEMPLATE).render(rows[0].messages);

const backend = await createWasmBackend({ threads: 1 });
const values = dequantizeNf4(quantizeNf4(new Float32Array(64).fill(0.5), { shape: [8, 8] }));
const name = 'model.layers.0.self_attn.q_proj';
const config = defaultLoraConfig({ r: 2, targetModules: ['q_proj'] });
const adapter = createAdapter(backend, config, [{ name, inFeatures: 8, outFeatures: 8 }], {
  seed: 1,
});
const files = await exportPeftAdapter(adapter);
const weight = { kind: 'dense', shape: [8, 8], values: tensorFrom(backend, values, [8, 8]) };
const out = backend.empty('f32', [1, 8]);
const x = tensorFrom(backend, new Float32Array(8).fill(1), [1, 8]);
backend.ops.linear({ x, weight, bias: null, out, accumulate: false });
const [first] = await backend.read(out);
await backend.dispose();

const used = [
  loraForward,
  createAdamW,
  createWebGpuBackend,
  parsePhiConfig,
  loadTokenizer,
  planSteps,
];
export const result = [text.length, first, Object.keys(files).length, used.length].join(' ');
if (globalThis.document) document.body.textContent = result;
console.log(result);
