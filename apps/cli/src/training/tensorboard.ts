import { appendFile, mkdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { withFile } from '../io/file-error.js';

/** CRC-32C (Castagnoli), a byte at a time. */
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value >>> 0;
});

export function crc32c(bytes: Uint8Array): number {
  let value = 0xffffffff;
  for (const byte of bytes) value = TABLE[(value ^ byte) & 255] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

/** TFRecord's checksum: rotated and shifted, so that a CRC over a CRC keeps its worth. */
function maskedCrc(bytes: Uint8Array): number {
  const value = crc32c(bytes);
  return (((value >>> 15) | (value << 17)) + 0xa282ead8) >>> 0;
}

/** One record of a TFRecord file: length, its checksum, the data, its checksum. */
export function tfRecord(data: Uint8Array): Uint8Array {
  const record = new Uint8Array(data.length + 16);
  const view = new DataView(record.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, maskedCrc(record.subarray(0, 8)), true);
  record.set(data, 12);
  view.setUint32(12 + data.length, maskedCrc(data), true);
  return record;
}

const concat = (parts: readonly Uint8Array[]) => Uint8Array.from(Buffer.concat(parts));

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Uint8Array.from([...bytes, rest]);
}

/** Protocol buffers' wire types: 0 varint, 1 eight bytes, 2 bytes with their length, 5 four bytes. */
const field = {
  varint: (number: number, value: number) => concat([varint(number * 8), varint(value)]),
  double(number: number, value: number) {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setFloat64(0, value, true);
    return concat([varint(number * 8 + 1), bytes]);
  },
  bytes: (number: number, value: Uint8Array) =>
    concat([varint(number * 8 + 2), varint(value.length), value]),
  text: (number: number, value: string) => field.bytes(number, new TextEncoder().encode(value)),
  float(number: number, value: number) {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setFloat32(0, value, true);
    return concat([varint(number * 8 + 5), bytes]);
  },
};

/** tensorflow.Event (event.proto): wall_time 1, step 2, file_version 3, summary 5, session_log 7. */
function event(seconds: number, step: number, rest: Uint8Array): Uint8Array {
  return concat([field.double(1, seconds), field.varint(2, step), rest]);
}

/** tensorflow.Summary (summary.proto): value 1 = tag 1, simple_value 2. */
function summary(scalars: Readonly<Record<string, number>>): Uint8Array {
  return concat(
    Object.entries(scalars).map(([tag, value]) =>
      field.bytes(1, concat([field.text(1, tag), field.float(2, value)])),
    ),
  );
}

const now = () => Date.now() / 1000;

/** Scalars in an event file of TensorBoard, in `runs/` of an output folder. */
export class TensorBoardLog {
  readonly #path: string;

  private constructor(path: string) {
    this.#path = path;
  }

  /**
   * A new event file; when a run is resumed, TensorBoard is told to forget what it has seen of later
   * steps (a session log that starts).
   * @param step steps already taken
   */
  static async create(out: string, step: number): Promise<TensorBoardLog> {
    const folder = join(out, 'runs');
    await withFile('make the folder', folder, () => mkdir(folder, { recursive: true }));
    const name = `events.out.tfevents.${Math.floor(now())}.${hostname()}.${process.pid}.${step}`;
    const log = new TensorBoardLog(join(folder, name));
    await log.#append(field.text(3, 'brain.Event:2'), 0);
    if (step > 0) await log.#append(field.bytes(7, field.varint(1, 1)), step + 1);
    return log;
  }

  scalars(step: number, values: Readonly<Record<string, number>>): Promise<void> {
    return this.#append(field.bytes(5, summary(values)), step);
  }

  #append(rest: Uint8Array, step: number): Promise<void> {
    const record = tfRecord(event(now(), step, rest));
    return withFile('write', this.#path, () => appendFile(this.#path, record));
  }
}
