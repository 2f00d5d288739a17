import { DAMAGED, quote, safetensorsError } from './errors.js';
import { MAX_HEADER_BYTES } from './header.js';
import { type JsonFault, JsonScanner } from './json-scanner.js';

const CODES: Readonly<Record<JsonFault, string>> = {
  syntax: 'SAFETENSORS_INDEX_JSON',
  duplicate: 'SAFETENSORS_DUPLICATE_KEY',
  overflow: 'SAFETENSORS_INDEX_JSON',
};

/**
 * Reads `{"metadata":{…},"weight_map":{TENSOR: SHARD}}`.
 *
 * @returns tensor → shard, in the index's order; every shard is a plain file name
 */
export function parseIndex(bytes: Uint8Array, file: string): Map<string, string> {
  const fail = (code: string, problem: string): never => {
    throw safetensorsError(code, { file }, problem, DAMAGED);
  };
  const scanner = new JsonScanner(decode(bytes, file), (fault, problem) =>
    fail(CODES[fault], problem),
  );
  let weightMap: Map<string, string> | undefined;
  scanner.object((key) => {
    if (key !== 'weight_map') {
      scanner.skip(); // metadata: total_size, and whatever a tool adds to it
      return;
    }
    const map = new Map<string, string>();
    scanner.object((tensor) => {
      const shard = scanner.string('the name of a shard');
      checkShardName(shard, tensor, file);
      map.set(tensor, shard);
    });
    weightMap = map;
  });
  scanner.end(/[ \t\r\n]*$/y);
  return weightMap ?? fail('SAFETENSORS_INDEX_JSON', 'it has no "weight_map"');
}

/** Indexes are too small for more than this, and a reader must not be made to swallow a disk. */
export function checkIndexSize(size: number, file: string): void {
  if (size <= MAX_HEADER_BYTES) return;
  const problem = `an index of ${size} bytes (at most ${MAX_HEADER_BYTES})`;
  throw safetensorsError('SAFETENSORS_INDEX_TOO_LARGE', { file }, problem, DAMAGED);
}

function decode(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    const problem = 'the index is not valid UTF-8';
    throw safetensorsError('SAFETENSORS_INDEX_JSON', { file }, problem, DAMAGED, { cause });
  }
}

/**
 * An index comes with a download: it must not lead a reader out of its folder, on any system
 * (`/etc/passwd`, `../x`, `C:x`, `..\x`) or through a URL.
 */
function checkShardName(shard: string, tensor: string, file: string): void {
  const plain = shard !== '' && shard !== '.' && shard !== '..';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are refused
  if (plain && !/[/\\:\u0000-\u001f]/.test(shard)) return;
  throw safetensorsError(
    'SAFETENSORS_SHARD_NAME',
    { file, tensor },
    `shard ${quote(shard)} is not a plain file name`,
    'shards lie beside their index: do not trust this checkpoint, or correct its index',
    { details: { shard } },
  );
}
