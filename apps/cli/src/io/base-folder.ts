import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { QLoraError } from '@qlorajs/errors';
import { phiNano } from '@qlorajs/phi-nano';
import { type Base, isHubId, readBase } from '@qlorajs/session';
import { type HubUse, hubBase } from '../hub/hub-base.js';
import { folderSource } from './file-source.js';
import { kindOf } from './read.js';

/** A base model's folder on disk. */
export interface BaseFolder extends Base {
  readonly path: string;
}

/** @throws QLoraError `BASE_MISSING`, and what the Hub's part throws */
async function folderOf(name: string, hub: HubUse | undefined): Promise<string> {
  const path = name === phiNano.name ? fileURLToPath(phiNano.folder) : name;
  if ((await kindOf(path)) === 'folder') return path;
  // `models/phi` beside a folder `models` is a path that was mistyped, and nobody else's business.
  const isPath = (await kindOf(name)) === 'file' || (await kindOf(dirname(name))) === 'folder';
  if (hub && isHubId(name) && !isPath) return hubBase(name, hub);
  throw new QLoraError(
    'BASE_MISSING',
    `--base ${name}: there is no such folder; give the folder of a Hugging Face Phi model, the id of one on the Hub (microsoft/phi-2), or phi-nano`,
    { details: { base: name } },
  );
}

/**
 * Finds a base model.
 * @param name a folder, a model's id on the Hub, or `phi-nano`
 * @param hub how the Hub may be used; without it, ids are refused
 * @throws QLoraError `BASE_MISSING`, `HUB_*`, and what `readBase` throws
 */
export async function openBase(name: string, hub?: HubUse): Promise<BaseFolder> {
  const path = await folderOf(name, hub);
  return { path, ...(await readBase(folderSource(path), name)) };
}
