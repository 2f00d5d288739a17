import { mkdir, rename, symlink, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import type { HubAccess } from '@qlorajs/session';
import { writeWhole } from '../io/atomic.js';
import { withFile } from '../io/file-error.js';
import { kindOf, readJson, readText } from '../io/read.js';

/** Where the Hub is, and where its files are kept: huggingface_hub's own variables and places. */
export interface HubSettings extends HubAccess {
  /** The cache that Python's huggingface_hub shares. */
  readonly folder: string;
  /** Nothing is asked of the network. */
  readonly offline: boolean;
}

const isOn = (value: string | undefined) => /^(1|on|yes|true)$/i.test(value ?? '');

/** Settings from HF_ENDPOINT, HF_HUB_CACHE, HF_HOME, HF_TOKEN, HF_TOKEN_PATH and HF_HUB_OFFLINE. */
export async function hubSettings(env: NodeJS.ProcessEnv = process.env): Promise<HubSettings> {
  const cache = env.XDG_CACHE_HOME || join(env.HOME || homedir(), '.cache');
  const home = env.HF_HOME || join(cache, 'huggingface');
  const file = env.HF_TOKEN_PATH || join(home, 'token');
  const stored = async () => ((await kindOf(file)) === 'file' ? (await readText(file)).trim() : '');
  return {
    endpoint: (env.HF_ENDPOINT || 'https://huggingface.co').replace(/\/+$/, ''),
    folder: env.HF_HUB_CACHE || join(home, 'hub'),
    token: env.HF_TOKEN?.trim() || (await stored()) || null,
    offline: isOn(env.HF_HUB_OFFLINE),
    fetch,
  };
}

/** What is lacking of a snapshot; empty: it is whole. */
export interface Lacking {
  /** config.json and weights. */
  readonly needed: readonly string[];
  /** tokenizer.json, unless the model is known to have none. */
  readonly texts: readonly string[];
}

/** A model's folder in the cache, as huggingface_hub lays it out: blobs, and snapshots that point to them. */
export class HubRepo {
  readonly path: string;

  constructor(settings: HubSettings, id: string) {
    this.path = join(settings.folder, `models--${id.replace('/', '--')}`);
  }

  blob(digest: string): string {
    return join(this.path, 'blobs', digest);
  }

  snapshot(commit: string): string {
    return join(this.path, 'snapshots', commit);
  }

  /** The commit that was `main` at the last download. */
  async commit(): Promise<string | null> {
    const file = join(this.path, 'refs', 'main');
    if ((await kindOf(file)) !== 'file') return null;
    const commit = (await readText(file)).trim();
    return /^[0-9a-f]{40}$/.test(commit) ? commit : null;
  }

  async lacking(commit: string, weights: boolean): Promise<Lacking> {
    const folder = this.snapshot(commit);
    const missing = async (names: readonly string[]) => {
      const kinds = await Promise.all(names.map((name) => kindOf(join(folder, name))));
      return names.filter((_, i) => kinds[i] !== 'file');
    };
    const known = (await kindOf(this.#absent(commit, 'tokenizer.json'))) === 'file';
    return {
      needed: await missing(['config.json', ...(weights ? await weightFiles(folder) : [])]),
      texts: known ? [] : await missing(['tokenizer.json']),
    };
  }

  /** Makes a blob a file of a snapshot. */
  async link(digest: string, commit: string, name: string): Promise<void> {
    const [blob, place] = [this.blob(digest), join(this.snapshot(commit), name)];
    if ((await kindOf(place)) === 'file') return;
    await withFile('write into', dirname(place), async () => {
      await mkdir(dirname(place), { recursive: true });
      try {
        await symlink(relative(dirname(place), blob), place);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code !== 'EEXIST') await rename(blob, place); // Windows, without the right to make links
      }
    });
  }

  /** Notes that the model has no such file, so that nobody asks for it again. */
  async markAbsent(commit: string, name: string): Promise<void> {
    const file = this.#absent(commit, name);
    await withFile('write', file, async () => {
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, '');
    });
  }

  /** Makes a commit the one that `main` stands for. */
  async setCommit(commit: string): Promise<void> {
    const file = join(this.path, 'refs', 'main');
    await withFile('write', file, () => mkdir(dirname(file), { recursive: true }));
    await writeWhole(file, commit);
  }

  #absent(commit: string, name: string): string {
    return join(this.path, '.no_exist', commit, name);
  }
}

/** Files that the weights of a snapshot are in: one, or an index and what it names. */
async function weightFiles(folder: string): Promise<string[]> {
  const index = 'model.safetensors.index.json';
  if ((await kindOf(join(folder, index))) !== 'file') return ['model.safetensors'];
  const { weight_map: map } = (await readJson(join(folder, index))) as {
    weight_map?: Record<string, string>;
  };
  return [index, ...new Set(Object.values(map ?? {}))];
}
