import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSafetensors } from '@qlorajs/safetensors';
import { expect, test } from 'vitest';
import { fileSource } from './file-source.js';

test('a tensor behind 5 GiB of a file on disk is read alone', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'qlora-test-'));
  try {
    const path = join(folder, 'model.safetensors');
    const hole = 5 * 2 ** 30;
    const header = JSON.stringify({
      hole: { dtype: 'U8', shape: [hole], data_offsets: [0, hole] },
      last: { dtype: 'F32', shape: [2], data_offsets: [hole, hole + 8] },
    });
    const text = Buffer.from(header.padEnd(Math.ceil(header.length / 8) * 8));
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(BigInt(text.length));
    const file = openSync(path, 'w'); // a sparse file: it takes no room
    ftruncateSync(file, 8 + text.length + hole + 8);
    writeSync(file, size, 0, 8, 0);
    writeSync(file, text, 0, text.length, 8);
    const values = new Uint8Array(Float32Array.of(1.5, -2).buffer);
    writeSync(file, values, 0, 8, 8 + text.length + hole);
    closeSync(file);

    const before = process.memoryUsage().arrayBuffers;
    const opened = await openSafetensors(await fileSource(path));
    expect([...(await opened.readFloat32('last'))]).toEqual([1.5, -2]);
    const around = await opened.readBytes('hole', { offset: 2 ** 32 - 1, length: 3 });
    expect([...around]).toEqual([0, 0, 0]);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(50e6);
    await opened.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});
