import { text as readAll } from 'node:stream/consumers';
import { QLoraError } from '@qlorajs/errors';
import { openBase } from '../io/base-folder.js';
import { readTokenizer } from '../model/tokenizer-files.js';
import { adapterOption } from '../options/common-options.js';
import { option } from '../options/table.js';
import { text } from '../options/value-types.js';
import { verb } from './verb.js';

export const tokenize = verb({
  name: 'tokenize',
  summary: 'text on stdin to token ids',
  options: {
    base: option(text('DIR|phi-nano'), 'phi-nano', 'whose tokenizer'),
    ...adapterOption,
  },
  async run({ base, adapter }, ui) {
    const folder = adapter ?? (await openBase(base)).path;
    const tokenizer = await readTokenizer(folder);
    if (tokenizer === null)
      throw new QLoraError('TOKENIZER_MISSING', `${folder} has no tokenizer.json`, {
        details: { folder },
      });
    const { ids } = tokenizer.encode(await readAll(process.stdin));
    ui.print(`${ids.join(' ')}\n`);
    ui.result({ ids, tokens: ids.map((id) => tokenizer.tokenOf(id) ?? null), count: ids.length });
    return 0;
  },
});
