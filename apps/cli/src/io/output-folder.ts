import { mkdir, readdir, rm, rmdir, statfs, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { QLoraError } from '@qlorajs/errors';
import { isTemporary } from './atomic.js';
import { withFile } from './file-error.js';
import { LOCK_FILE, lockFolder } from './lock.js';
import { kindOf } from './read.js';

/** A folder that results go to. */
export interface OutputFolder {
  readonly path: string;
  /** Gives the lock back, and removes what opening the folder made if nothing was written since. */
  discardIfEmpty(): Promise<void>;
}

/** The folder's parts that do not exist yet, outermost first. */
async function missingFolders(path: string): Promise<string[]> {
  const missing: string[] = [];
  for (let each = path; (await kindOf(each)) === 'nothing'; each = dirname(each))
    missing.unshift(each);
  return missing;
}

async function checkSpace(path: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(path);
  if (bavail * bsize >= bytes) return;
  const mega = (value: number) => `${Math.ceil(value / 1e6)} MB`;
  throw new QLoraError(
    'DISK_FULL',
    `${path}: the results take about ${mega(bytes)}, the disk has ${mega(bavail * bsize)} free; make room or give another --out`,
    { details: { path, needed: bytes, free: bavail * bsize } },
  );
}

/** @throws QLoraError `OUTPUT_NOT_EMPTY` unless `reuse` */
async function checkContent(path: string, reuse: boolean, remedy: string): Promise<void> {
  const content = await withFile('read', path, () => readdir(path));
  for (const name of content.filter(isTemporary))
    await rm(join(path, name), { recursive: true, force: true });
  const names = content.filter((name) => !isTemporary(name) && name !== LOCK_FILE);
  if (names.length === 0 || reuse) return;
  throw new QLoraError(
    'OUTPUT_NOT_EMPTY',
    `${path} holds ${names.length} files already (${names.slice(0, 3).join(', ')} …); ${remedy}`,
    { details: { path, names } },
  );
}

/**
 * Makes sure that results can be written, before the work starts: the folder is made and locked for
 * this process, a probe is written and removed, free space is compared with what is needed.
 *
 * @param options.bytes about how much will be written
 * @param options.reuse the folder may hold files
 * @throws QLoraError `FILE_*`, `DISK_FULL`, `OUTPUT_NOT_EMPTY`, `OUTPUT_LOCKED`
 */
export async function openOutput(
  path: string,
  options: { readonly bytes: number; readonly reuse: boolean; readonly remedy: string },
): Promise<OutputFolder> {
  const made = await missingFolders(resolve(path));
  let release = (): void => {};
  const discardIfEmpty = async (): Promise<void> => {
    release();
    // Fails where something was written, or where making it failed: both are to be left alone.
    for (const each of made.toReversed()) await rmdir(each).catch(() => {});
  };
  try {
    // One by one: Node's own recursive form never returns where the system refuses, as in /proc.
    for (const each of made) await withFile('make the folder', each, () => mkdir(each));
    release = await lockFolder(path);
    await checkContent(path, options.reuse, options.remedy);
    const probe = join(path, `.probe.tmp-${process.pid}`);
    await withFile('write into', path, () => writeFile(probe, 'probe'));
    await rm(probe, { force: true });
    await checkSpace(path, options.bytes);
  } catch (error) {
    await discardIfEmpty();
    throw error;
  }
  return { path, discardIfEmpty };
}
