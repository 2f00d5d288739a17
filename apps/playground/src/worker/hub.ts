import { QLoraError } from '@qlorajs/errors';
import type { FolderSource } from '@qlorajs/safetensors';
import { opfsFolder } from './folders.js';
import { folderName } from './kept-bases.js';
import { readStored, storageFolder, writeStored } from './storage.js';

const INDEX = 'model.safetensors.index.json';

/** Where a base's files lie: a hub id, a page of the hub, or any folder that serves them. */
function hubLocation(given: string): { readonly name: string; readonly url: string } {
  const id = /^(?:https:\/\/huggingface\.co\/)?([\w.-]+\/[\w.-]+)\/?$/.exec(given.trim())?.[1];
  if (id) return { name: id, url: `https://huggingface.co/${id}/resolve/main/` };
  try {
    const { href, protocol, pathname } = new URL(given);
    if (!/^https?:$/.test(protocol)) throw new Error('not http');
    const parts = pathname.split('/').filter(Boolean);
    return { name: parts.at(-1) ?? 'base', url: href.endsWith('/') ? href : `${href}/` };
  } catch (cause) {
    throw new QLoraError(
      'HUB_URL',
      `"${given}" is no hub id such as microsoft/phi-2 and no address of a folder`,
      { cause },
    );
  }
}

/** How a download goes: bytes so far of all files that are known. */
interface Tally {
  done: number;
  total: number;
  readonly onShare: (share: number) => void;
}

function failed(file: string, url: string, why: string, cause?: unknown): QLoraError {
  return new QLoraError(
    'DOWNLOAD_FAILED',
    `${file} did not come from ${url}: ${why}. What came is kept: start again to go on from there`,
    { kind: 'runtime', details: { file, url }, cause },
  );
}

async function ask(url: string, file: string, headers: Record<string, string>): Promise<Response> {
  try {
    return await fetch(url + file, { headers });
  } catch (cause) {
    throw failed(file, url, 'the network does not answer', cause);
  }
}

/** Brings a file into the folder, going on where an earlier try ended. Null: there is none. */
async function download(
  folder: FileSystemDirectoryHandle,
  url: string,
  file: string,
  tally: Tally,
): Promise<boolean> {
  if ((await readStored(folder, `${file}.whole`)) !== null) return true;
  const handle = await (
    await folder.getFileHandle(file, { create: true })
  ).createSyncAccessHandle();
  try {
    const tag = await readStored(folder, `${file}.tag`);
    let at = tag === null ? 0 : handle.getSize();
    const range = at > 0 ? { Range: `bytes=${at}-`, 'If-Range': tag! } : {};
    const response = await ask(url, file, range as Record<string, string>);
    if (response.status === 404) return false;
    if (!response.ok) throw failed(file, url, `the server answers ${response.status}`);
    if (response.status !== 206) at = 0;
    handle.truncate(at);
    await writeStored(folder, `${file}.tag`, response.headers.get('ETag') ?? '');
    const length = Number(response.headers.get('Content-Length'));
    tally.total += at + length;
    tally.done += at;
    const reader = response.body!.getReader();
    for (;;) {
      const { done, value } = await reader.read().catch((cause: unknown) => {
        throw failed(file, url, 'the connection broke', cause);
      });
      if (done) break;
      handle.write(value, { at });
      at += value.length;
      tally.done += value.length;
      tally.onShare(tally.done / Math.max(tally.total, tally.done));
    }
    handle.flush();
  } finally {
    handle.close();
  }
  await writeStored(folder, `${file}.whole`, '');
  return true;
}

/** Downloads a base's files into the browser's storage, with resume, and opens them there. */
export async function hubFolder(
  given: string,
  onShare: (share: number) => void,
): Promise<{ readonly name: string; readonly source: FolderSource }> {
  const { name, url } = hubLocation(given);
  const folder = await storageFolder('downloads', folderName(name));
  const tally: Tally = { done: 0, total: 0, onShare };
  const get = (file: string) => download(folder, url, file, tally);
  if (!(await get('config.json')))
    throw failed('config.json', url, 'it is not there; is this the folder of a model?');
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) await get(file);
  if (await get(INDEX)) {
    const { weight_map } = JSON.parse((await readStored(folder, INDEX)) ?? '{}') as {
      weight_map?: Record<string, string>;
    };
    for (const shard of new Set(Object.values(weight_map ?? {}))) await get(shard);
  } else {
    await folder.removeEntry(INDEX).catch(() => {});
    await get('model.safetensors');
  }
  const source = opfsFolder(folder, name);
  const has = async (file: string) =>
    !/\.(tag|whole)$/.test(file) && (await readStored(folder, `${file}.whole`)) !== null;
  return { name, source: { ...source, has } };
}

/** Removes what was downloaded for a base, once it is kept in 4 bits. */
export async function removeDownload(given: string): Promise<void> {
  const { name } = hubLocation(given);
  const downloads = await storageFolder('downloads');
  await downloads.removeEntry(folderName(name), { recursive: true }).catch(() => {});
}
