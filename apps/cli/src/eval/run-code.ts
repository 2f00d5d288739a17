import { codeBlocks, runBlocks } from '../sandbox/code-blocks.js';
import type { VoiceRecord } from './records.js';

/** The voices with what became of the code of their answers. */
export async function withCode(
  voices: readonly VoiceRecord[],
  options: { readonly seconds: number; readonly onBlock: (share: number) => void },
): Promise<VoiceRecord[]> {
  const answers = voices.flatMap(({ chats }) => chats.flatMap((chat) => chat.answers));
  const blocks = answers.map(({ answer }) => codeBlocks(answer));
  const total = blocks.flat().length;
  let count = 0;
  const outcomes = await runBlocks(blocks.flat(), {
    seconds: options.seconds,
    onBlock: () => options.onBlock(++count / total),
  });
  const rest = [...outcomes];
  const code = new Map(
    answers.map((answer, i) => {
      const own = rest.splice(0, blocks[i].length);
      return [
        answer,
        own.map(({ language, error, printsWhatItSays }) => ({
          ...{ language, ran: error === null, prints_what_it_says: printsWhatItSays, error },
        })),
      ];
    }),
  );
  return voices.map((voice) => ({
    ...voice,
    chats: voice.chats.map((chat) => ({
      ...chat,
      answers: chat.answers.map((answer) => ({ ...answer, code: code.get(answer) })),
    })),
  }));
}
