import { QLoraError } from '@qlorajs/errors';
import { z } from 'zod';

/** Where the Hub is, who asks, and what with: an app hands its `fetch` in. */
export interface HubAccess {
  /** Without a slash at its end: `https://huggingface.co`. */
  readonly endpoint: string;
  readonly token: string | null;
  readonly fetch: typeof globalThis.fetch;
}

/** Of a file's bytes: SHA-256 of a large file, git's own SHA-1 of a small one. */
export interface Digest {
  readonly algorithm: 'sha256' | 'git-sha1';
  readonly hex: string;
}

/** A file of a model on the Hub. */
export interface HubFile {
  readonly name: string;
  readonly size: number;
  readonly digest: Digest;
}

/** What a model on the Hub consists of. */
export interface HubListing {
  /** The commit that `main` is now. */
  readonly commit: string;
  readonly files: readonly HubFile[];
}

/** Plain names alone: a file that a server names must not lead out of its folder. */
const NAME = /^\w[\w.-]*$/;
const sibling = z.object({
  rfilename: z.string(),
  size: z.number().int().nonnegative().optional(),
  blobId: z
    .string()
    .regex(/^[0-9a-f]{40}$/)
    .optional(),
  lfs: z
    .object({ sha256: z.string().regex(/^[0-9a-f]{64}$/), size: z.number().int().nonnegative() })
    .nullish(),
});
const answer = z.object({
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  siblings: z.array(sibling),
});

/** Milliseconds until a server that says nothing counts as away. */
const PATIENCE = 20_000;

/** `Authorization`, where there is a token; fetch drops it on the way to another host. */
export function authorization({ token }: HubAccess): Record<string, string> {
  return token === null ? {} : { authorization: `Bearer ${token}` };
}

/** The error of an answer that is none; null for one that another attempt may change. */
export function refusal(id: string, response: Response, settings: HubAccess): QLoraError | null {
  const { status, headers } = response;
  const details = { base: id, status, endpoint: settings.endpoint };
  const said = headers.get('x-error-code');
  if (status === 404 || said === 'RepoNotFound')
    return new QLoraError(
      'HUB_NOT_FOUND',
      `--base ${id}: there is no such folder here, and ${settings.endpoint} shows no model of this name; check its spelling${settings.token === null ? ', and set HF_TOKEN if it is private' : ' and what HF_TOKEN may see'}`,
      { details },
    );
  if (status === 401 || status === 403)
    return new QLoraError(
      'HUB_ACCESS',
      `--base ${id}: ${settings.endpoint} does not give it to ${settings.token === null ? 'everybody: accept its terms there and set HF_TOKEN' : 'the owner of HF_TOKEN: accept its terms there, or use another token'}`,
      { details },
    );
  if (status === 429 || status >= 500) return null;
  return new QLoraError('HUB_ANSWER', `${response.url}: unexpected status ${status}; try later`, {
    kind: 'runtime',
    details,
  });
}

/** The system's reason of a request that got no answer. */
export function reasonOf(error: unknown): string {
  const { name, message, cause } = error as Error & { cause?: { code?: string; message?: string } };
  if (name === 'TimeoutError') return 'no answer in time';
  return cause?.code || cause?.message || message;
}

/**
 * Asks the Hub what a model consists of now.
 * @throws QLoraError `HUB_UNREACHABLE`, `HUB_NOT_FOUND`, `HUB_ACCESS`, `HUB_ANSWER`
 */
export async function listModel(
  id: string,
  settings: HubAccess,
  signal?: AbortSignal,
): Promise<HubListing> {
  const url = `${settings.endpoint}/api/models/${id}/revision/main?blobs=true`;
  const unreachable = (reason: string) =>
    new QLoraError(
      'HUB_UNREACHABLE',
      `--base ${id}: there is no such folder here, and ${settings.endpoint} cannot be asked for a model of this name (${reason}); connect to the network, or give the folder of a model that was downloaded elsewhere`,
      { details: { base: id, endpoint: settings.endpoint } },
    );
  let response: Response;
  let body: unknown;
  try {
    const timeout = AbortSignal.timeout(PATIENCE);
    response = await settings.fetch(url, {
      headers: authorization(settings),
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
    body = await response.json().catch(() => null);
  } catch (error) {
    signal?.throwIfAborted();
    throw unreachable(reasonOf(error));
  }
  if (!response.ok)
    throw refusal(id, response, settings) ?? unreachable(`status ${response.status}`);
  const parsed = answer.safeParse(body);
  if (!parsed.success)
    throw new QLoraError(
      'HUB_ANSWER',
      `${url}: this is not what the Hub answers (${parsed.error.issues[0].path.join('.')}); check HF_ENDPOINT`,
      { kind: 'runtime', details: { base: id } },
    );
  return { commit: parsed.data.sha, files: parsed.data.siblings.flatMap(fileOf) };
}

function fileOf({ rfilename, size, blobId, lfs }: z.infer<typeof sibling>): HubFile[] {
  const name = rfilename;
  if (!NAME.test(name)) return [];
  if (lfs) return [{ name, size: lfs.size, digest: { algorithm: 'sha256', hex: lfs.sha256 } }];
  if (blobId === undefined || size === undefined) return [];
  return [{ name, size, digest: { algorithm: 'git-sha1', hex: blobId } }];
}
