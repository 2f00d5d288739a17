import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { fillFolder, isTemporary, placeFiles, writeFolderWhole, writeWhole } from './atomic.js';
import { openOutput } from './output-folder.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'qlora-test-'));
});

describe('whole or not at all', () => {
  test('a file whose content fails half-way leaves the old one', async () => {
    const file = join(folder, 'a.txt');
    await writeWhole(file, 'old');
    async function* broken() {
      yield new Uint8Array([1]);
      throw new Error('no more');
    }
    await expect(writeWhole(file, broken())).rejects.toThrow('no more');
    expect(readFileSync(file, 'utf8')).toBe('old');
    expect(readdirSync(folder)).toEqual(['a.txt']);
  });

  test('a folder appears with all its files', async () => {
    const target = join(folder, 'checkpoint-1');
    await writeFolderWhole(target, async (temporary) => {
      expect(isTemporary(temporary.slice(folder.length + 1))).toBe(true);
      await fillFolder(temporary, { a: '1', b: new Uint8Array([50]) });
      expect(existsSync(target)).toBe(false);
    });
    expect(readdirSync(target).sort()).toEqual(['a', 'b']);
    expect(readdirSync(folder)).toEqual(['checkpoint-1']);
  });

  test('files that fail to be made change nothing', async () => {
    await placeFiles(folder, 'z', (temporary) => fillFolder(temporary, { y: '1', z: '1' }));
    const failing = placeFiles(folder, 'z', async (temporary) => {
      await fillFolder(temporary, { y: '2' });
      throw new Error('no more');
    });
    await expect(failing).rejects.toThrow('no more');
    expect(readFileSync(join(folder, 'y'), 'utf8')).toBe('1');
    expect(readdirSync(folder).sort()).toEqual(['y', 'z']);
  });
});

describe('an output folder', () => {
  const options = { bytes: 1, reuse: false, remedy: 'take another' };

  test('is made with its parents, and goes with them when nothing was written', async () => {
    const output = await openOutput(join(folder, 'a', 'b'), options);
    expect(existsSync(join(folder, 'a', 'b'))).toBe(true);
    await output.discardIfEmpty();
    expect(readdirSync(folder)).toEqual([]);
  });

  test('stays when something was written', async () => {
    const output = await openOutput(join(folder, 'a'), options);
    writeFileSync(join(folder, 'a', 'file'), '');
    await output.discardIfEmpty();
    expect(readdirSync(join(folder, 'a'))).toEqual(['file']);
  });

  test('that holds files is refused, unless they are remains of a killed process', async () => {
    writeFileSync(join(folder, '.model.tmp-123'), '');
    const output = await openOutput(folder, options);
    await output.discardIfEmpty();
    expect(readdirSync(folder)).toEqual([]);
    writeFileSync(join(folder, 'file'), '');
    await expect(openOutput(folder, options)).rejects.toMatchObject({
      code: 'OUTPUT_NOT_EMPTY',
      message: expect.stringContaining('take another'),
    });
    const again = await openOutput(folder, { ...options, reuse: true });
    await again.discardIfEmpty();
  });

  test('on a disk with too little room is refused before any work', async () => {
    const place = join(folder, 'a');
    await expect(openOutput(place, { ...options, bytes: 1e18 })).rejects.toMatchObject({
      code: 'DISK_FULL',
    });
    expect(existsSync(place)).toBe(false);
  });
});
