import { mkdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { isQLoraError, QLoraError } from '@qlorajs/errors';
import {
  formatBytes,
  formatDuration,
  type HubListing,
  hubFiles,
  listModel,
} from '@qlorajs/session';
import { withFile } from '../io/file-error.js';
import { lockFolder } from '../io/lock.js';
import { kindOf } from '../io/read.js';
import { createProgress, type Progress } from '../report/progress.js';
import type { Ui } from '../report/ui.js';
import { downloadFile } from './download-file.js';
import { HubRepo, type HubSettings, hubSettings } from './hub-cache.js';

/** What is wanted of a model on the Hub. */
export interface HubUse {
  readonly ui: Ui;
  readonly signal?: AbortSignal;
  /** False: its config and tokenizer alone. Default: true. */
  readonly weights?: boolean;
  /** False: only what is in the cache. Default: true. */
  readonly download?: boolean;
}

/** Milliseconds between two lines where there is no terminal. */
const BETWEEN_LINES = 15_000;

/** Speed and progress of all files together. */
class DownloadDisplay {
  readonly #id: string;
  readonly #ui: Ui;
  readonly #progress: Progress;
  readonly #total: number;
  #done = 0;
  #line = performance.now();
  #began: { readonly at: number; readonly bytes: number } | null = null;

  constructor(id: string, ui: Ui, total: number) {
    this.#id = id;
    this.#ui = ui;
    this.#progress = createProgress(ui);
    this.#total = total;
  }

  /** So many bytes of this file are there. */
  bytes(name: string, ofFile: number): void {
    const done = this.#done + ofFile;
    const now = performance.now();
    this.#began ??= { at: now, bytes: done };
    const speed = (1000 * (done - this.#began.bytes)) / Math.max(1, now - this.#began.at);
    const left = speed > 0 ? `  ${formatDuration((this.#total - done) / speed)} left` : '';
    const text = `${this.#id}  ${name}  ${formatBytes(done)} of ${formatBytes(this.#total)}  ${formatBytes(Math.round(speed))}/s${left}`;
    this.#progress.show(text, done / this.#total);
    if (this.#progress.live || now - this.#line < BETWEEN_LINES) return;
    this.#line = now;
    this.#ui.info(text);
  }

  file(name: string, size: number): void {
    this.#done += size;
    this.#ui.detail(`  ${name}: ${formatBytes(size)}, hash as the Hub says`);
  }

  clear(): void {
    this.#progress.clear();
  }
}

async function checkRoom(repo: HubRepo, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(repo.path);
  if (bavail * bsize >= bytes) return;
  throw new QLoraError(
    'DISK_FULL',
    `${repo.path}: the download takes ${formatBytes(bytes)}, the disk has ${formatBytes(bavail * bsize)} free; make room, or set HF_HOME to a folder on another disk`,
    { details: { path: repo.path, needed: bytes, free: bavail * bsize } },
  );
}

/** Takes the model's folder; another process that downloads the same is told of. */
async function lock(repo: HubRepo, id: string): Promise<() => void> {
  try {
    return await lockFolder(repo.path);
  } catch (error) {
    if (!isQLoraError(error) || error.code !== 'OUTPUT_LOCKED') throw error;
    const { pid, lock: file } = error.details;
    throw new QLoraError(
      'HUB_BUSY',
      `${id}: process ${pid} is downloading it; start again when it is done. If there is no such process, delete ${file}`,
      { kind: 'runtime', details: error.details, cause: error },
    );
  }
}

async function download(
  id: string,
  listing: HubListing,
  { repo, settings }: { readonly repo: HubRepo; readonly settings: HubSettings },
  { ui, signal, weights = true }: HubUse,
): Promise<void> {
  const wanted = hubFiles(id, listing);
  const files = weights ? [...wanted.texts, ...wanted.weights] : wanted.texts;
  const { commit } = listing;
  await withFile('write into', repo.path, () =>
    mkdir(join(repo.path, 'blobs'), { recursive: true }),
  );
  const release = await lock(repo, id);
  try {
    const kinds = await Promise.all(files.map(({ digest }) => kindOf(repo.blob(digest.hex))));
    const missing = files.filter((_, i) => kinds[i] !== 'file');
    const total = missing.reduce((sum, { size }) => sum + size, 0);
    await checkRoom(repo, total);
    ui.info(
      `${id} is no folder here: downloading ${missing.length} files, ${formatBytes(total)}, from ${settings.endpoint} into ${repo.path}; a download that is stopped goes on where it was`,
    );
    const display = new DownloadDisplay(id, ui, total);
    try {
      for (const file of missing) {
        const url = `${settings.endpoint}/${id}/resolve/${commit}/${file.name}`;
        const onBytes = (bytes: number) => display.bytes(file.name, bytes);
        const path = repo.blob(file.digest.hex);
        await downloadFile({ id, url, file, path, access: settings, onBytes, signal });
        display.file(file.name, file.size);
      }
    } finally {
      display.clear();
    }
    for (const { name, digest } of files) await repo.link(digest.hex, commit, name);
    if (!files.some(({ name }) => name === 'tokenizer.json'))
      await repo.markAbsent(commit, 'tokenizer.json');
    await repo.setCommit(commit);
  } finally {
    release();
  }
}

/**
 * The folder of a model of the Hub: from the cache that huggingface_hub shares, where it is whole there;
 * else it is downloaded.
 * @throws QLoraError `HUB_OFFLINE`, `HUB_*`, `DISK_FULL`, `FILE_*`
 */
export async function hubBase(id: string, use: HubUse): Promise<string> {
  const { ui, weights = true, download: mayDownload = true } = use;
  const settings = await hubSettings();
  const repo = new HubRepo(settings, id);
  const commit = await repo.commit();
  const lacking = commit === null ? null : await repo.lacking(commit, weights);
  const usable = commit !== null && lacking?.needed.length === 0;
  if (usable && (lacking.texts.length === 0 || settings.offline || !mayDownload)) {
    ui.detail(`${id}: ${repo.snapshot(commit)}`);
    return repo.snapshot(commit);
  }
  if (settings.offline || !mayDownload)
    throw new QLoraError(
      'HUB_OFFLINE',
      `${id}: there is no such folder here, and it is not in ${settings.folder}; ${settings.offline ? 'unset HF_HUB_OFFLINE' : `--base ${id} downloads it`}, or give --base the folder of that model`,
      { details: { base: id } },
    );
  try {
    const listing = await listModel(id, settings, use.signal);
    await download(id, listing, { repo, settings }, use);
    return repo.snapshot(listing.commit);
  } catch (error) {
    if (!usable || !isQLoraError(error) || error.code !== 'HUB_UNREACHABLE') throw error;
    ui.warn(`${id}: ${lacking.texts.join(', ')} may be missing, and the Hub cannot be asked`);
    return repo.snapshot(commit);
  }
}
