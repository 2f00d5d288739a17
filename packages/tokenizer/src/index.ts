export type { DecodeOptions, StreamDecoder } from './decode.js';
export type { FilesOptions } from './files.js';
export type { Offset } from './offsets.js';
export { type Encoding, loadTokenizer, type Tokenizer, type TokenizerFiles } from './tokenizer.js';
