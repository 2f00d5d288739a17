import ranks from 'js-tiktoken/ranks/r50k_base';
import { BYTE_CHARACTERS } from '../src/byte-level.js';

/** Tokens as bytes, a character a byte, in the order of their ranks. */
function tokensByRank(): string[] {
  const tokens: string[] = [];
  for (const line of ranks.bpe_ranks.split('\n')) {
    const [, start, ...encoded] = line.split(' ');
    for (const [index, token] of encoded.entries()) tokens[Number(start) + index] = atob(token);
  }
  return tokens;
}

/** Splits a token's bytes by merges below its rank until two parts are left: the merge that makes it. */
function lastMerge(token: string, rank: number, rankOf: ReadonlyMap<string, number>) {
  const parts = [...token];
  while (parts.length > 2) {
    let best = -1;
    let bestRank = rank;
    for (let index = 0; index + 1 < parts.length; index++) {
      const merged = rankOf.get(parts[index]! + parts[index + 1]!) ?? rank;
      if (merged < bestRank) [best, bestRank] = [index, merged];
    }
    if (best < 0) throw new Error(`No merge makes token ${rank}`);
    parts.splice(best, 2, parts[best]! + parts[best + 1]!);
  }
  return parts;
}

function added(id: number, content: string, special = false) {
  const flags = { single_word: false, lstrip: false, rstrip: false };
  return { id, content, ...flags, normalized: !special, special };
}

/**
 * Phi-2's tokenizer.json, rebuilt from the public ranks of r50k_base: GPT-2's vocabulary and
 * merges, `<|endoftext|>`, and the 38 runs of spaces and tabs that CodeGen added.
 */
export function buildPhi2TokenizerJson(): string {
  const tokens = tokensByRank();
  const rankOf = new Map(tokens.map((token, rank) => [token, rank]));
  const written = (bytes: string) =>
    [...bytes].map((byte) => BYTE_CHARACTERS[byte.charCodeAt(0)]).join('');
  const vocab = Object.fromEntries(tokens.map((token, rank) => [written(token), rank]));
  vocab['<|endoftext|>'] = 50256;
  const merges = tokens.slice(256).map((token, index) =>
    lastMerge(token, index + 256, rankOf)
      .map(written)
      .join(' '),
  );
  const spaces = Array.from({ length: 30 }, (_, i) => added(50257 + i, ' '.repeat(31 - i)));
  const tabs = Array.from({ length: 8 }, (_, i) => added(50287 + i, '\t'.repeat(9 - i)));
  const byteLevel = (add_prefix_space: boolean, trim_offsets: boolean) => {
    return { type: 'ByteLevel', add_prefix_space, trim_offsets, use_regex: true };
  };
  return JSON.stringify({
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [added(50256, '<|endoftext|>', true), ...spaces, ...tabs],
    normalizer: null,
    pre_tokenizer: byteLevel(false, true),
    post_processor: byteLevel(true, false),
    decoder: byteLevel(true, true),
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: '',
      end_of_word_suffix: '',
      fuse_unk: false,
      byte_fallback: false,
      vocab,
      merges,
    },
  });
}

/** The part of Phi-2's tokenizer_config.json that says something. */
export const PHI_2_TOKENIZER_CONFIG = JSON.stringify({
  add_prefix_space: false,
  bos_token: '<|endoftext|>',
  clean_up_tokenization_spaces: true,
  eos_token: '<|endoftext|>',
  model_max_length: 2048,
  tokenizer_class: 'CodeGenTokenizer',
  unk_token: '<|endoftext|>',
});
