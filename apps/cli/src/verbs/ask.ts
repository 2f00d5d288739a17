import { text as readAll } from 'node:stream/consumers';
import { QLoraError } from '@qlorajs/errors';
import {
  adapterOption,
  answer,
  backendOptions,
  generationOptions,
  optionalBaseOption,
  quantizationOptions,
  systemMessage,
  tokensOf,
} from '@qlorajs/session';
import { openSession } from '../model/session.js';
import { EXIT } from '../report/failure.js';
import { onInterrupt } from '../report/interrupt.js';
import { verb } from './verb.js';

/** @throws QLoraError `QUESTION_MISSING` on a terminal, or when nothing comes */
async function questionOnStdin(): Promise<string> {
  const text = process.stdin.isTTY ? '' : (await readAll(process.stdin)).trim();
  if (text !== '') return text;
  throw new QLoraError('QUESTION_MISSING', 'ask what? qlora ask "¿Qué es una pila?"');
}

export const ask = verb({
  name: 'ask',
  summary: 'one answer, streamed',
  argument: {
    name: 'question',
    describe: 'what to ask; left out: read from stdin',
    optional: true,
  },
  options: {
    ...optionalBaseOption,
    ...adapterOption,
    ...generationOptions,
    ...quantizationOptions,
    ...backendOptions,
  },
  async run(options, ui, argument) {
    const text = argument === '' ? await questionOnStdin() : argument;
    const { signal, dispose } = onInterrupt(() => ui.info('stopping; once more ends at once'));
    const adapters = options.adapter === undefined ? [] : [options.adapter];
    const session = await openSession(options, adapters, ui, { signal });
    try {
      const [voice] = session.voices;
      if (voice.format === null)
        ui.info(`${voice.name} has no chat template: the text is continued as it is`);
      const messages = [...systemMessage(voice, options.system), { role: 'user', content: text }];
      const ids = tokensOf(voice, messages);
      const onText = (piece: string) => ui.print(piece);
      const result = await answer(session.model, voice, ids, options, { signal, onText });
      ui.print('\n');
      ui.detail(
        `${result.prompt_tokens} + ${result.tokens} tokens, ${result.tokens_per_second.toFixed(1)} tokens/s, ended by ${result.finish_reason}`,
      );
      if (result.finish_reason === 'context')
        ui.warn(
          `the context of ${session.model.config.maxPositions} tokens is full: the answer was cut`,
        );
      ui.result({ base: session.base.name, adapter: options.adapter ?? null, ...result });
      return result.finish_reason === 'aborted' ? EXIT.interrupted : EXIT.done;
    } finally {
      dispose();
      await session.close();
    }
  },
});
