// What the suites use of vitest, for a machine where it is not installed: see README.md.
import {
  ASYMMETRIC_MATCHERS_OBJECT,
  JestAsymmetricMatchers,
  JestChaiExpect,
  JestExtend,
  setState,
} from '@vitest/expect';
import { expect as chaiExpect, use } from 'chai';

use(JestExtend);
use(JestChaiExpect);
use(JestAsymmetricMatchers);
const assert = (value, message) => {
  setState({ assertionCalls: 0 }, expect);
  return chaiExpect(value, message);
};
const expect = Object.assign(assert, chaiExpect, globalThis[ASYMMETRIC_MATCHERS_OBJECT]);
const make = (name, parent) => ({
  ...{ name, parent, tests: [], suites: [], before: [], after: [] },
});
let current = make('', null);
/** A name of a table's row: `$key` of an object, `%s` and the like of a list. */
function nameOf(template, row) {
  if (Array.isArray(row)) {
    let at = 0;
    return template.replace(/%[sidfjo]/g, () => String(row[at++]));
  }
  const values = row;
  return template
    .replace(/\$(\w+)/g, (_, key) => String(values?.[key]))
    .replace(/%[sid]/g, String(row));
}
/** `describe` or `test`, with what may follow a dot. */
function declarer(declare, skip = false) {
  const bodyOf = (first, second) => (typeof first === 'function' ? first : second);
  const plain = (name, first, second) => declare(name, bodyOf(first, second), skip);
  return Object.assign(plain, {
    each: (rows) => (name, first, second) => {
      for (const row of rows)
        declare(
          nameOf(name, row),
          () => bodyOf(first, second)(...(Array.isArray(row) ? row : [row])),
          skip,
        );
    },
    skip: (name, first, second) => declare(name, bodyOf(first, second), true),
    skipIf: (condition) => declarer(declare, skip || Boolean(condition)),
    runIf: (condition) => declarer(declare, skip || !condition),
  });
}
const describe = declarer((name, collect, skip) => {
  if (skip) console.log(`skipped: ${name}`);
  else current.suites.push({ suite: make(name, current), collect });
});
const test = declarer((name, run2, skip) => {
  current.tests.push({ name, skip, run: run2 });
});
const beforeAll = (hook) => current.before.push(hook);
const afterAll = (hook) => current.after.push(hook);
const counts = { passed: 0, failed: 0, skipped: 0 };
const chosen = process.argv.slice(2);
async function run(suite2, path) {
  for (const hook of suite2.before) await hook();
  for (const { name, skip, run: body } of suite2.tests) {
    if (skip) {
      counts.skipped++;
      continue;
    }
    try {
      await body();
      counts.passed++;
    } catch (error) {
      counts.failed++;
      console.log(`FAILED ${path} > ${name}
${error.stack?.slice(0, 1500)}`);
    }
  }
  for (const { suite: inner, collect } of suite2.suites) {
    current = inner;
    await collect();
    await run(inner, `${path} > ${inner.name}`);
  }
  for (const hook of suite2.after) await hook();
}
async function suite(name, load) {
  if (chosen.length > 0 && !chosen.includes(name)) return;
  const before = { ...counts };
  const start = performance.now();
  current = make(name, null);
  const whole = current;
  try {
    await load();
    await run(whole, name);
  } catch (error) {
    counts.failed++;
    console.log(`FAILED ${name}
${error.stack?.slice(0, 1500)}`);
  }
  const [passed, failed, skipped] = ['passed', 'failed', 'skipped'].map(
    (each) => counts[each] - before[each],
  );
  const seconds = ((performance.now() - start) / 1e3).toFixed(1);
  console.log(`${name}: ${passed} passed, ${failed} failed, ${skipped} skipped, ${seconds} s`);
}
function finish() {
  const { passed, failed, skipped } = counts;
  console.log(`all: ${passed} passed, ${failed} failed, ${skipped} skipped`);
  process.exit(failed > 0 ? 1 : 0);
}

export { afterAll, beforeAll, describe, expect, finish, suite, test };
