import { QLoraError } from '@qlorajs/errors';

const REASONS: Readonly<Record<string, readonly [code: string, reason: string]>> = {
  ENOENT: ['FILE_MISSING', 'there is no such file or folder; check the path'],
  EACCES: ['FILE_PERMISSION', 'permission denied; change its permissions or take another place'],
  EPERM: ['FILE_PERMISSION', 'the system does not permit it; take another place'],
  EROFS: ['FILE_READ_ONLY', 'the file system is read-only; take another place'],
  ENOTDIR: ['FILE_NOT_FOLDER', 'a part of this path is a file, not a folder; take another place'],
  EEXIST: ['FILE_NOT_FOLDER', 'a file of this name is in the way; take another place'],
  EISDIR: ['FILE_IS_FOLDER', 'it is a folder; give a file'],
  ENOSPC: ['DISK_FULL', 'the disk is full; make room or take another place'],
  EDQUOT: ['DISK_FULL', 'the quota of the disk is used up; make room or take another place'],
};

/** The system's error about a file as one of ours, saying what was tried and where. */
function fileError(cause: unknown, action: string, path: string): QLoraError {
  const system = (cause as NodeJS.ErrnoException).code ?? 'unknown';
  const [code, reason] = REASONS[system] ?? ['FILE_SYSTEM', (cause as Error).message];
  const kind = code === 'DISK_FULL' || code === 'FILE_SYSTEM' ? 'runtime' : 'input';
  return new QLoraError(code, `cannot ${action} ${path}: ${reason}`, {
    kind,
    details: { path, system },
    cause,
  });
}

/** Runs file work and names the path when the system refuses. */
export async function withFile<T>(
  action: string,
  path: string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw (error as NodeJS.ErrnoException).syscall ? fileError(error, action, path) : error;
  }
}
