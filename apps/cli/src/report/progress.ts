import { createLogUpdate } from 'log-update';
import type { Ui } from './ui.js';

/** A live display on stderr: one line that is drawn again, on a terminal alone. */
export interface Progress {
  /** False: nothing is drawn, and lines tell instead. */
  readonly live: boolean;
  /** @param share done, from 0 to 1 */
  show(text: string, share: number): void;
  clear(): void;
}

const WIDTH = 16;
const MILLISECONDS_BETWEEN = 80;

/** `━━━━━━━─────` */
function bar(share: number): string {
  const full = Math.round(Math.max(0, Math.min(1, share)) * WIDTH);
  return '━'.repeat(full) + '─'.repeat(WIDTH - full);
}

const SILENT: Progress = { live: false, show: () => {}, clear: () => {} };

/** The display of a terminal; one that shows nothing with `--quiet`, or where there is no room to draw. */
export function createProgress(ui: Ui, stream: NodeJS.WriteStream = process.stderr): Progress {
  if (ui.quiet || !stream.isTTY || !(stream.rows > 0)) return SILENT;
  // The cursor stays: hiding it would take signal handlers that keep Ctrl-C from its work.
  const update = createLogUpdate(stream, { showCursor: true });
  let last = 0;
  let shown = false;
  const clear = () => {
    if (shown) update.clear();
    shown = false;
  };
  ui.beforeLine = clear;
  return {
    live: true,
    show(text, share) {
      const now = performance.now();
      if (now - last < MILLISECONDS_BETWEEN && share < 1) return;
      last = now;
      update(`${bar(share)} ${String(Math.floor(share * 100)).padStart(3)} %  ${text}`);
      shown = true;
    },
    clear,
  };
}
