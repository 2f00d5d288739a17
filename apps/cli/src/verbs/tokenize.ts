import { buffer } from 'node:stream/consumers';
import { QLoraError } from '@qlorajs/errors';
import { adapterOption, option, readTokenizer, text } from '@qlorajs/session';
import { openBase } from '../io/base-folder.js';
import { folderSource } from '../io/file-source.js';
import { verb } from './verb.js';

/** UTF-8 as it is: a byte order mark stays, because the tokenizer has a token for it. */
function decodeStrictly(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new QLoraError('INPUT_ENCODING', 'stdin is not UTF-8; convert the text first', { cause });
  }
}

export const tokenize = verb({
  name: 'tokenize',
  summary: 'text on stdin to token ids',
  options: {
    base: option(text('DIR|ID|phi-nano'), 'phi-nano', 'whose tokenizer'),
    ...adapterOption,
  },
  async run({ base, adapter }, ui) {
    const folder = adapter ?? (await openBase(base, { ui, weights: false })).path;
    const tokenizer = await readTokenizer(folderSource(folder));
    if (tokenizer === null)
      throw new QLoraError('TOKENIZER_MISSING', `${folder} has no tokenizer.json`, {
        details: { folder },
      });
    const { ids } = tokenizer.encode(decodeStrictly(await buffer(process.stdin)));
    ui.print(`${ids.join(' ')}\n`);
    ui.result({ ids, tokens: ids.map((id) => tokenizer.tokenOf(id) ?? null), count: ids.length });
    return 0;
  },
});
