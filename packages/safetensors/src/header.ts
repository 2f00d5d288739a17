import { isSafetensorsDtype, SAFETENSORS_DTYPES, type SafetensorsDtype } from './dtypes.js';
import { DAMAGED, quote, safetensorsError } from './errors.js';
import { type JsonFault, JsonScanner } from './json-scanner.js';

/** Bytes of JSON; the same cap as the Rust library's, for readers and writers. */
export const MAX_HEADER_BYTES = 100_000_000;

/** A tensor as the header declares it: nothing is checked against the file yet. */
export interface DeclaredTensor {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  /** `[start, end)` in bytes from the end of the header. */
  readonly dataOffsets: readonly [start: number, end: number];
}

export interface DeclaredHeader {
  readonly metadata: Readonly<Record<string, string>>;
  /** In the header's order. */
  readonly tensors: DeclaredTensor[];
}

const CODES: Readonly<Record<JsonFault, string>> = {
  syntax: 'SAFETENSORS_HEADER_JSON',
  duplicate: 'SAFETENSORS_DUPLICATE_KEY',
  overflow: 'SAFETENSORS_OVERFLOW',
};

/** Reads the JSON of a header: `{"__metadata__":{…},"NAME":{"dtype","shape","data_offsets"}}`. */
export function parseHeader(bytes: Uint8Array, file: string): DeclaredHeader {
  let tensor: string | undefined;
  const fail = (code: string, problem: string): never => {
    const place = tensor === undefined ? { file } : { file, tensor };
    throw safetensorsError(code, place, `header: ${problem}`, DAMAGED);
  };
  const text = decode(bytes, file);
  const scanner = new JsonScanner(text, (fault, problem) => fail(CODES[fault], problem));
  // The format's text asks for this; with it, a header cannot hide behind white space.
  if (!text.startsWith('{')) fail('SAFETENSORS_HEADER_JSON', 'it does not begin with "{"');

  const metadata: Record<string, string> = Object.create(null);
  const tensors: DeclaredTensor[] = [];
  scanner.object((key) => {
    if (key === '__metadata__') {
      scanner.object((name) => {
        metadata[name] = scanner.string(`a string as value of __metadata__.${quote(name)}`);
      });
    } else {
      tensor = key;
      tensors.push(readTensor(scanner, key, fail));
      tensor = undefined;
    }
  });
  scanner.end(/ *$/y);
  return { metadata: Object.freeze(metadata), tensors };
}

function decode(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw safetensorsError(
      'SAFETENSORS_HEADER_UTF8',
      { file },
      'the header is not valid UTF-8',
      DAMAGED,
      { cause },
    );
  }
}

function readTensor(
  scanner: JsonScanner,
  name: string,
  fail: (code: string, problem: string) => never,
): DeclaredTensor {
  let dtype: SafetensorsDtype | undefined;
  let shape: number[] | undefined;
  let offsets: number[] | undefined;
  scanner.object((field) => {
    if (field === 'dtype') dtype = readDtype(scanner, fail);
    else if (field === 'shape') shape = integers(scanner);
    else if (field === 'data_offsets') offsets = integers(scanner);
    else fail('SAFETENSORS_HEADER_JSON', `unknown field ${quote(field)}`);
  });
  if (dtype === undefined || shape === undefined || offsets === undefined) {
    return fail('SAFETENSORS_HEADER_JSON', 'dtype, shape and data_offsets are all required');
  }
  const [start, end] = offsets;
  if (offsets.length !== 2 || start === undefined || end === undefined) {
    return fail('SAFETENSORS_HEADER_JSON', `data_offsets holds ${offsets.length} numbers, not 2`);
  }
  return { name, dtype, shape, dataOffsets: [start, end] };
}

function readDtype(
  scanner: JsonScanner,
  fail: (code: string, problem: string) => never,
): SafetensorsDtype {
  const text = scanner.string('a dtype');
  if (isSafetensorsDtype(text)) return text;
  return fail(
    'SAFETENSORS_DTYPE',
    `dtype ${quote(text)} is none of ${SAFETENSORS_DTYPES.join(', ')}`,
  );
}

function integers(scanner: JsonScanner): number[] {
  const values: number[] = [];
  scanner.array(() => {
    values.push(scanner.integer());
  });
  return values;
}
