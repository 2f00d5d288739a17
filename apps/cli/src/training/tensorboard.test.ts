import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { crc32c, TensorBoardLog, tfRecord } from './tensorboard.js';

const ascii = (text: string) => new TextEncoder().encode(text);

test('CRC-32C has the values of RFC 3720', () => {
  expect(crc32c(ascii('123456789'))).toBe(0xe3069283);
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  expect(crc32c(new Uint8Array(32).fill(255))).toBe(0x62a8ab43);
});

test('a record has its length and two masked checksums', () => {
  // The header of every event file that tensorboard writes, from its RecordWriter.
  const event = ascii('brain.Event:2');
  const record = tfRecord(event);
  expect(record.length).toBe(event.length + 16);
  const view = new DataView(record.buffer);
  expect(view.getBigUint64(0, true)).toBe(13n);
  const masked = (bytes: Uint8Array) => {
    const crc = BigInt(crc32c(bytes));
    return Number((((crc >> 15n) | (crc << 17n)) + 0xa282ead8n) & 0xffffffffn);
  };
  expect(view.getUint32(8, true)).toBe(masked(record.subarray(0, 8)));
  expect(view.getUint32(12 + 13, true)).toBe(masked(event));
});

/** tag → (step, value) of every scalar: a reader of its own, after event.proto and summary.proto. */
function scalars(file: Uint8Array): [string, number, number][] {
  const found: [string, number, number][] = [];
  const fields = function* (bytes: Uint8Array): Generator<[number, number | Uint8Array]> {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    let at = 0;
    const varint = () => {
      let [value, factor] = [0, 1];
      for (;;) {
        const byte = bytes[at++];
        value += (byte & 127) * factor;
        factor *= 128;
        if (byte < 128) return value;
      }
    };
    while (at < bytes.length) {
      const key = varint();
      const wire = key & 7;
      if (wire === 0) yield [key >> 3, varint()];
      else if (wire === 1) {
        yield [key >> 3, view.getFloat64(at, true)];
        at += 8;
      } else if (wire === 5) {
        yield [key >> 3, view.getFloat32(at, true)];
        at += 4;
      } else {
        const length = varint();
        yield [key >> 3, bytes.subarray(at, at + length)];
        at += length;
      }
    }
  };
  for (let at = 0; at < file.length; ) {
    const length = Number(new DataView(file.buffer, file.byteOffset + at).getBigUint64(0, true));
    const event = Object.fromEntries(fields(file.subarray(at + 12, at + 12 + length)));
    if (event[5])
      for (const [, value] of fields(event[5] as Uint8Array)) {
        const parts = Object.fromEntries(fields(value as Uint8Array));
        found.push([
          new TextDecoder().decode(parts[1] as Uint8Array),
          event[2] as number,
          parts[2] as number,
        ]);
      }
    at += length + 16;
  }
  return found;
}

test('scalars come back with their steps, large ones too', async () => {
  const out = mkdtempSync(join(tmpdir(), 'qlora-board-'));
  try {
    const log = await TensorBoardLog.create(out, 0);
    await log.scalars(1, { 'train/loss': 2.5, 'eval/loss': -1 });
    await log.scalars(3_000_000_000, { 'train/loss': 0.25 });
    const [name] = readdirSync(join(out, 'runs'));
    expect(name).toMatch(/^events\.out\.tfevents\.\d+\./);
    expect(scalars(new Uint8Array(readFileSync(join(out, 'runs', name))))).toEqual([
      ['train/loss', 1, 2.5],
      ['eval/loss', 1, -1],
      ['train/loss', 3_000_000_000, 0.25],
    ]);
  } finally {
    rmSync(out, { recursive: true });
  }
});
