import { QLoraError } from '@qlorajs/errors';
import { type HubAccess, hubFiles, isHubId, listModel, type RemoteFile } from '@qlorajs/session';

const HUB = 'https://huggingface.co';

/** Where a base's files lie. */
export interface Origin {
  /** What the base is called. */
  readonly name: string;
  /** Ends in a slash. */
  readonly url: string;
  readonly access: HubAccess;
  /** With size and hash of every file, where the Hub tells them; null: any folder that serves them. */
  readonly listed: {
    readonly texts: readonly RemoteFile[];
    readonly weights: readonly RemoteFile[];
  } | null;
}

/**
 * A hub id, a page of the Hub, or the address of a folder. The Hub's files are those of one commit.
 * @throws QLoraError `HUB_URL`, and what the Hub refuses
 */
export async function originOf(given: string, signal: AbortSignal): Promise<Origin> {
  const trimmed = given.trim().replace(/\/+$/, '');
  const id = trimmed.startsWith(`${HUB}/`) ? trimmed.slice(HUB.length + 1) : trimmed;
  const access = {
    endpoint: HUB,
    token: null,
    fetch: (...args: Parameters<typeof fetch>) => fetch(...args),
  };
  if (isHubId(id)) {
    const listing = await listModel(id, access, signal);
    const url = `${HUB}/${id}/resolve/${listing.commit}/`;
    return { name: id, url, access, listed: hubFiles(id, listing) };
  }
  try {
    const { href, origin, protocol, pathname } = new URL(`${trimmed}/`);
    if (!/^https?:$/.test(protocol)) throw new Error('not http');
    const name = pathname.split('/').filter(Boolean).at(-1) ?? 'base';
    return { name, url: href, access: { ...access, endpoint: origin }, listed: null };
  } catch (cause) {
    throw new QLoraError(
      'HUB_URL',
      `"${given}" is no hub id such as microsoft/phi-2 and no address of a folder`,
      { cause },
    );
  }
}
