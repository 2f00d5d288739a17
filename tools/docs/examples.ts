import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '../..');

/** A fenced `ts` block of a README or of a TSDoc `@example`, with the output that it promises. */
export interface Example {
  /** `packages/lora/README.md:12` */
  readonly name: string;
  readonly code: string;
  /** What each `console.log(…); // …` line says it prints, in order. */
  readonly expected: readonly string[];
  /** The module written for it, inside its package so that imports resolve as a user's would. */
  readonly module: string;
}

function blocks(text: string, file: string, packageFolder: string): Example[] {
  const found: Example[] = [];
  for (const match of text.matchAll(/^([ \t]*\*? ?)```ts\r?\n([\s\S]*?)^\1```/gm)) {
    const prefix = match[1] ?? '';
    const line = text.slice(0, match.index).split('\n').length;
    const code = (match[2] ?? '')
      .split('\n')
      .map((each) =>
        each.startsWith(prefix) ? each.slice(prefix.length) : each.replace(/^\s*\*$/, ''),
      )
      .join('\n');
    const expected = [...code.matchAll(/console\.log\(.*\);? \/\/ (.*)$/gm)].map(
      (each) => each[1]!,
    );
    const folder = join(packageFolder, '.examples');
    mkdirSync(folder, { recursive: true });
    const module = join(folder, `${relative(packageFolder, file).replace(/\W+/g, '-')}-${line}.ts`);
    writeFileSync(module, code);
    found.push({ name: `${relative(root, file)}:${line}`, code, expected, module });
  }
  return found;
}

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter(
      (entry) => entry.isFile() && /\.ts$/.test(entry.name) && !/\.test\.ts$/.test(entry.name),
    )
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => !file.includes('generated'));
}

/** Every runnable example of a package: README.md first, then its sources' TSDoc. */
export function examplesOf(packageFolder: string): Example[] {
  return [join(packageFolder, 'README.md'), ...sources(join(packageFolder, 'src'))].flatMap(
    (file) => blocks(readFileSync(file, 'utf8'), file, packageFolder),
  );
}

/** The folders of `packages/`. */
export function packageFolders(): string[] {
  return readdirSync(join(root, 'packages')).map((name) => join(root, 'packages', name));
}
