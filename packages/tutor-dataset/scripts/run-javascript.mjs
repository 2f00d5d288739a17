// Runs JavaScript blocks as run_blocks.py runs the Python ones: each alone, and it must print, line
// by line, what its `console.log(...); // text` comments say.
import { format } from 'node:util';
import { Script } from 'node:vm';

function run(code) {
  const printed = [];
  const { log } = console;
  console.log = (...values) => printed.push(...format(...values).split('\n'));
  try {
    new Script(`(() => { 'use strict';\n${code}\n})();`).runInThisContext({ timeout: 5000 });
  } finally {
    console.log = log;
  }
  return printed;
}

/** What is wrong with a block: nothing when it runs and prints what it says. */
export function javascriptFaults(code) {
  const promised = [...code.matchAll(/^ *console\.log\(.*\); \/\/ (.*)$/gm)].map((line) => line[1]);
  if (promised.length === 0) return [`prints nothing that it states\n${code}`];
  try {
    const printed = run(code);
    const same = JSON.stringify(printed) === JSON.stringify(promised);
    return same ? [] : [`says ${JSON.stringify(promised)}, prints ${JSON.stringify(printed)}`];
  } catch (error) {
    return [`${error}\n${code}`];
  }
}
