// phi-nano continues a text, greedily, a token at a time.
import { generate } from '@qlorajs/phi2-model';
import { loadModel, tokenizer } from './phi-nano.js';

const { backend, model } = await loadModel();
const { ids } = tokenizer.encode('Una pila es una estructura de datos');
const stream = tokenizer.streamDecoder();
let text = '';
for await (const { id } of generate(model, ids, { maxNewTokens: 12 })) text += stream.push(id);
console.log(text.length > 12); // true
await backend.dispose();
