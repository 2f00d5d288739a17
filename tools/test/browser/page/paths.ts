// Stands in for node:path and node:url, as far as the fixtures of the tests need them.

export function join(...parts: readonly string[]): string {
  const names: string[] = [];
  for (const name of parts.join('/').split('/'))
    if (name === '..') names.pop();
    else if (name !== '' && name !== '.') names.push(name);
  return `/${names.join('/')}`;
}

export const dirname = (path: string) => join(path, '..');

export const fileURLToPath = (url: string) => new URL(url).pathname;
