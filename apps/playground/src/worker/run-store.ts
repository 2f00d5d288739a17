import { QLoraError } from '@qlorajs/errors';
import type { FolderSource } from '@qlorajs/safetensors';
import type { FolderContent, HistoryEntry, StepRecord } from '@qlorajs/session';
import type { RunInfo, RunOptions, Sample } from '../protocol.js';
import { opfsFolder } from './folders.js';
import { foldersIn, readStored, storageFolder, writeFolder, writeStored } from './storage.js';

/** What of a run is known before and beside its checkpoints. */
export interface StoredRun extends RunInfo {
  readonly options: RunOptions;
}

/** What a run has told so far. */
export interface RunTrace {
  readonly records: readonly StepRecord[];
  readonly evaluations: readonly HistoryEntry[];
  readonly samples: readonly Sample[];
}

const RUN = 'run.json';
const TRACE = 'trace.json';
const DATA = 'data.jsonl';
const EMPTY: RunTrace = { records: [], evaluations: [], samples: [] };
/** The last file of a checkpoint that is written. */
const LAST = 'run_state.json';
/** The last file of a finished adapter that is written. */
const CONFIG = 'adapter_config.json';

/**
 * Holds a run for this tab.
 * @returns lets go of it
 * @throws QLoraError `RUN_ELSEWHERE` while another tab holds it
 */
export function holdRun(id: string): Promise<() => void> {
  return new Promise((resolve, reject) => {
    void navigator.locks.request(`run ${id}`, { ifAvailable: true }, (lock) => {
      if (lock) return new Promise<void>((release) => resolve(release));
      reject(
        new QLoraError('RUN_ELSEWHERE', 'this run is under way in another tab of this browser'),
      );
      return null;
    });
  });
}

/** One run's folder in the browser's storage. */
export class RunStore {
  readonly id: string;
  readonly #folder: FileSystemDirectoryHandle;

  private constructor(id: string, folder: FileSystemDirectoryHandle) {
    this.id = id;
    this.#folder = folder;
  }

  static async open(id: string): Promise<RunStore> {
    return new RunStore(id, await storageFolder('runs', id));
  }

  /** All runs, the newest first. */
  static async all(): Promise<RunStore[]> {
    const names = await foldersIn(await storageFolder('runs'));
    return Promise.all(names.reverse().map((id) => RunStore.open(id)));
  }

  static async remove(id: string): Promise<void> {
    await (await storageFolder('runs')).removeEntry(id, { recursive: true });
  }

  /** null: the folder was never filled. */
  async info(): Promise<StoredRun | null> {
    const text = await readStored(this.#folder, RUN);
    return text === null ? null : (JSON.parse(text) as StoredRun);
  }

  async writeInfo(run: StoredRun): Promise<void> {
    await writeStored(this.#folder, RUN, JSON.stringify(run));
  }

  async trace(): Promise<RunTrace> {
    const text = await readStored(this.#folder, TRACE);
    return text === null ? EMPTY : (JSON.parse(text) as RunTrace);
  }

  async writeTrace(trace: RunTrace): Promise<void> {
    await writeStored(this.#folder, TRACE, JSON.stringify(trace));
  }

  async data(): Promise<Uint8Array> {
    const file = await (await this.#folder.getFileHandle(DATA)).getFile();
    return new Uint8Array(await file.arrayBuffer());
  }

  async writeData(bytes: Uint8Array): Promise<void> {
    await writeStored(this.#folder, DATA, bytes);
  }

  /** Steps of checkpoints that are whole, in order. */
  async checkpointSteps(): Promise<number[]> {
    const steps: number[] = [];
    for (const name of await foldersIn(this.#folder)) {
      const step = /^checkpoint-(\d+)$/.exec(name)?.[1];
      if (step === undefined) continue;
      const folder = await this.#folder.getDirectoryHandle(name);
      if ((await readStored(folder, LAST)) !== null) steps.push(Number(step));
    }
    return steps.sort((a, b) => a - b);
  }

  async checkpoint(step: number): Promise<FolderSource> {
    const name = `checkpoint-${step}`;
    return opfsFolder(await this.#folder.getDirectoryHandle(name), `${this.id}/${name}`);
  }

  /** Writes a checkpoint; older ones go when it is whole. */
  async writeCheckpoint(step: number, files: FolderContent): Promise<void> {
    const name = `checkpoint-${step}`;
    const folder = await this.#folder.getDirectoryHandle(name, { create: true });
    await writeFolder(folder, files, LAST);
    for (const other of await foldersIn(this.#folder))
      if (/^checkpoint-\d+$/.test(other) && other !== name)
        await this.#folder.removeEntry(other, { recursive: true });
  }

  async adapter(): Promise<FolderSource> {
    return opfsFolder(await this.#folder.getDirectoryHandle('adapter'), this.id);
  }

  async writeAdapter(files: FolderContent): Promise<void> {
    const folder = await this.#folder.getDirectoryHandle('adapter', { create: true });
    await writeFolder(folder, files, CONFIG);
  }

  /** The finished adapter's files by name. */
  async adapterFiles(): Promise<Record<string, Uint8Array>> {
    const folder = await this.#folder.getDirectoryHandle('adapter');
    const files: Record<string, Uint8Array> = {};
    for await (const [name, handle] of folder.entries()) {
      if (handle.kind !== 'file') continue;
      const file = await (handle as FileSystemFileHandle).getFile();
      files[name] = new Uint8Array(await file.arrayBuffer());
    }
    return files;
  }
}
