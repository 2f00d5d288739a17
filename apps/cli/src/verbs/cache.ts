import { formatBytes, option, toggle } from '@qlorajs/session';
import { cachedFiles, cacheFolder, removeCached } from '../cache/cache-folder.js';
import { EXIT } from '../report/failure.js';
import { verb } from './verb.js';

export const cache = verb({
  name: 'cache',
  summary: 'the quantized bases that are kept for the next start',
  options: { clear: option(toggle, false, 'remove all of them') },
  async run({ clear }, ui) {
    const folder = cacheFolder();
    const files = await cachedFiles(folder);
    const bytes = files.reduce((sum, each) => sum + each.bytes, 0);
    if (clear) await removeCached(folder, () => true);
    for (const each of files)
      ui.print(
        `${formatBytes(each.bytes).padStart(9)}  ${each.lastWritten.toISOString().slice(0, 10)}  ${each.file}\n`,
      );
    const what = `${files.length} quantized bases, ${formatBytes(bytes)}`;
    ui.print(clear ? `removed ${what}\n` : `${what} in ${folder}; --clear removes them\n`);
    ui.result({
      folder,
      bytes,
      cleared: clear,
      files: files.map((each) => ({ ...each, lastWritten: each.lastWritten.toISOString() })),
    });
    return EXIT.done;
  },
});
