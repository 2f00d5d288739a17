export type { GgufMetadata, GgufValue } from './metadata.js';
export { ggufModuleName, ggufTensorName, loraMetadata, phi2Metadata } from './phi2.js';
export { type GgufTokenizer, tokenizerMetadata } from './tokenizer.js';
export { GGUF_TYPES, type GgufType } from './types.js';
export { type GgufTensor, ggufChunks } from './write.js';
