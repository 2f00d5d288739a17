import { fileURLToPath } from 'node:url';
import { integer, option, toggle } from '@qlorajs/session';
import { openBrowser } from '../playground/open-browser.js';
import { createSite } from '../playground/site.js';
import { onInterrupt } from '../report/interrupt.js';
import { listen } from '../serve/listen.js';
import { verb } from './verb.js';

/** Beside the bundled command, where the build puts it. */
const PAGE = fileURLToPath(new URL('./playground/', import.meta.url));

export const playground = verb({
  name: 'playground',
  summary: 'a page that trains and chats in the browser, served on this machine alone',
  options: {
    port: option(integer(0, 65535), 8188, 'where it listens; 0 takes any that is free'),
    open: option(toggle, true, 'open it in the browser'),
  },
  async run(options, ui) {
    const site = await createSite(PAGE);
    const { signal, dispose } = onInterrupt(() => ui.info('stopping'));
    const server = await listen(site, '127.0.0.1', options.port);
    try {
      ui.info('nothing leaves this machine; Ctrl-C stops');
      ui.print(`${server.url}\n`);
      ui.result({ url: server.url });
      if (options.open) openBrowser(server.url);
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve();
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
      return 0;
    } finally {
      dispose();
      await server.close();
    }
  },
});
