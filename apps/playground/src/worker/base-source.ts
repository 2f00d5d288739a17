import { phiNano } from '@qlorajs/phi-nano';
import { type FolderSource, memoryFolder } from '@qlorajs/safetensors';
import type { BaseChoice } from '../protocol.js';
import { urlFolder } from './folders.js';
import { keptBase } from './kept-bases.js';

/** Tells the page how far something is; bytes where they are known. */
export type OnProgress = (what: string, share: number, done?: number, total?: number) => void;

/** Where a base comes from: its configuration is there, its weights may have to come. */
export interface BaseSource {
  readonly name: string;
  readonly source: FolderSource;
  /** Whether it is kept in 4 bits when it is loaded. */
  readonly isKept: boolean;
  /**
   * Brings the weights to where `source` finds them.
   * @param room bytes of the browser's storage that must be free beside them
   */
  weights(room: number): Promise<void>;
  /** What was stored on the way has done its service. Null: nothing was. */
  readonly remove: (() => Promise<void>) | null;
}

const atHand = async () => {};

/** Finds a base and opens its configuration. @param site where the page's own files lie */
export async function openBaseSource(
  choice: BaseChoice,
  site: string,
  onProgress: OnProgress,
  signal: AbortSignal,
): Promise<BaseSource> {
  const local = { weights: atHand, remove: null };
  if (choice.kind === 'phi-nano') {
    const { name, files } = phiNano;
    const url = new URL(`models/${name}/`, site).href;
    const source = urlFolder(url, files, (share) => onProgress('fetching', share));
    return { ...local, name, source, isKept: false };
  }
  if (choice.kind === 'kept') {
    const { name } = choice;
    return { ...local, name, source: await keptBase(name), isKept: false };
  }
  if (choice.kind === 'files') {
    const { name, files } = choice;
    return { ...local, name, source: memoryFolder(files, name), isKept: true };
  }
  // Comes where it is used: what loads before the page can chat does without it.
  const { HubDownload } = await import('./hub.js');
  const onBytes = (done: number, total: number) =>
    onProgress('downloading', done / Math.max(1, total), done, total);
  const download = await HubDownload.open(choice.url, onBytes, signal);
  return {
    ...{ name: download.name, source: download.source, isKept: true },
    weights: (room) => download.weights(room),
    remove: () => download.remove(),
  };
}
