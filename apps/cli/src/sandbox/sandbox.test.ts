import { existsSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { codeBlocks, runBlocks, statedOutput } from './code-blocks.js';
import { Sandbox } from './sandbox.js';

const script = new URL('../../dist/sandbox-child.js', import.meta.url);
if (!existsSync(script)) throw new Error(`${script} is missing: run "npx turbo run build" first`);

const python = new Sandbox('python', { script, seconds: 20 });
const javascript = new Sandbox('javascript', { script, seconds: 20 });
afterAll(() => {
  python.dispose();
  javascript.dispose();
});

test('blocks are found, closed or not, and what they say they print', () => {
  const text = 'a\n```python\nprint(1)  # 1\n```\nb\n```sql\nx\n```\n```js\nconsole.log(2); // 2';
  expect(codeBlocks(text)).toEqual([
    { language: 'python', code: 'print(1)  # 1' },
    { language: 'javascript', code: 'console.log(2); // 2' },
  ]);
  expect(codeBlocks(text).map(statedOutput)).toEqual([['1'], ['2']]);
});

describe('Python', () => {
  test('prints, fails with its error, and starts afresh', async () => {
    expect(await python.run('x = 2\nprint(x + 1, "ñ")')).toEqual({ printed: ['3 ñ'], error: null });
    expect((await python.run('print(x)')).error).toContain("name 'x' is not defined");
    expect((await python.run('def f(:')).error).toContain('SyntaxError');
  });

  test('reaches neither the files, nor the environment, nor the network of the host', async () => {
    const attempts = [
      `open(${JSON.stringify(import.meta.filename)})`,
      'import os; assert os.environ["PATH"].startswith("/usr"), "no PATH"',
      'import socket; socket.create_connection(("127.0.0.1", 9), 1)',
      'import subprocess; subprocess.run(["ls"])',
      'from js import process',
      'import pyodide_js; pyodide_js.mountNodeFS("/m", "/"); import os; print(os.listdir("/m/etc"))',
    ];
    for (const code of attempts) expect((await python.run(code)).error, code).not.toBe(null);
  });
});

describe('JavaScript', () => {
  test('prints, fails with its error, and starts afresh', async () => {
    const outcome = await javascript.run('const a = [1, 2];\nconsole.log(a, "ñ");');
    expect(outcome).toEqual({ printed: ['[ 1, 2 ] ñ'], error: null });
    expect((await javascript.run('console.log(a)')).error).toBe('ReferenceError: a is not defined');
  });

  test('has no globals of Node, and no files outside its context either', async () => {
    const outside = 'console.log.constructor("return process")()';
    const attempts = [
      'process.exit(0)',
      'require("fs")',
      'fetch("http://127.0.0.1:9")',
      `${outside}.getBuiltinModule("fs").readFileSync(${JSON.stringify(import.meta.filename)})`,
      `${outside}.getBuiltinModule("child_process").execSync("ls")`,
    ];
    for (const code of attempts) expect((await javascript.run(code)).error, code).not.toBe(null);
  });
});

test('a block that does not end is stopped, and the next one runs', async () => {
  const blocks = [
    { language: 'javascript' as const, code: 'for (;;);' },
    { language: 'javascript' as const, code: 'console.log(1 + 1); // 2' },
    { language: 'javascript' as const, code: 'console.log(1 + 1); // 3' },
  ];
  const [endless, good, wrong] = await runBlocks(blocks, { script, seconds: 2 });
  expect(endless).toMatchObject({ error: 'stopped after 2 s', printsWhatItSays: null });
  expect(good).toMatchObject({ error: null, printsWhatItSays: true });
  expect(wrong).toMatchObject({ error: null, printsWhatItSays: false });
});
