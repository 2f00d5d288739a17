// Stands in for vitest where the suite runs in a page: the golden tests are bundled as they are.
import { settings } from './settings.js';

/** One test that ran; `error` is null when it passed. */
export interface TestResult {
  readonly name: string;
  readonly error: string | null;
  readonly milliseconds: number;
}

type Work = () => unknown;
/** vitest takes options between the name and the function; a page has no use for them. */
type WithOptions<F> = [work: F] | [options: object, work: F];

interface Suite {
  readonly name: string;
  readonly before: Work[];
  readonly after: Work[];
  readonly tests: { readonly name: string; readonly work: Work }[];
}

const suites: Suite[] = [];
let open: Suite | null = null;

/** The suite that is being declared; a test outside of `describe` has one of its own. */
function current(): Suite {
  if (open) return open;
  const own: Suite = { name: '', before: [], after: [], tests: [] };
  suites.push(own);
  return own;
}

/** `$key` is a field of the case, `%s` the next argument. */
function format(name: string, args: readonly unknown[]): string {
  const [first] = args;
  let next = 0;
  return name
    .replace(/\$(\w+)/g, (_, key: string) => String((first as Record<string, unknown>)[key]))
    .replace(/%[si]/g, () => String(args[next++]));
}

function each(declare: (name: string, work: Work) => void) {
  return (cases: readonly unknown[]) =>
    (name: string, ...rest: WithOptions<(...args: unknown[]) => unknown>) => {
      const work = rest.at(-1) as (...args: unknown[]) => unknown;
      for (const one of cases) {
        const args = Array.isArray(one) ? one : [one];
        declare(format(name, args), () => work(...args));
      }
    };
}

function describeSuite(name: string, ...rest: WithOptions<Work>): void {
  const declare = rest.at(-1) as Work;
  if (open) throw new Error('describe inside of describe');
  open = { name, before: [], after: [], tests: [] };
  suites.push(open);
  try {
    declare();
  } finally {
    open = null;
  }
}

function declareTest(name: string, ...rest: WithOptions<Work>): void {
  current().tests.push({ name, work: rest.at(-1) as Work });
}

export const describe = Object.assign(describeSuite, { each: each(describeSuite) });
export const test = Object.assign(declareTest, { each: each(declareTest) });
export const beforeAll = (work: Work) => void current().before.push(work);
export const afterAll = (work: Work) => void current().after.push(work);

function same(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (ArrayBuffer.isView(a) && ArrayBuffer.isView(b))
    return a.constructor === b.constructor && same([...Object.values(a)], [...Object.values(b)]);
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((value, i) => same(value, b[i]));
  if (!isPlain(a) || !isPlain(b)) return false;
  const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])];
  return keys.every((key) => same(a[key], b[key]));
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The matchers that the bundled tests use; another one is a TypeError, and so a failure. */
export function expect(actual: unknown, message = '') {
  const check = (holds: boolean, what: string) => {
    if (!holds) throw new Error(`${message} expected ${JSON.stringify(actual)} ${what}`.trim());
  };
  return {
    toBe: (wanted: unknown) => check(Object.is(actual, wanted), `to be ${wanted}`),
    toEqual: (wanted: unknown) => check(same(actual, wanted), `to equal ${JSON.stringify(wanted)}`),
    toBeLessThan: (limit: number) => check((actual as number) < limit, `to be below ${limit}`),
    toBeGreaterThan: (limit: number) => check((actual as number) > limit, `to be above ${limit}`),
    toHaveLength: (length: number) =>
      check((actual as ArrayLike<unknown>).length === length, `to have ${length} elements`),
  };
}

async function errorOf(work: Work): Promise<string | null> {
  try {
    await work();
    return null;
  } catch (error) {
    return error instanceof Error ? `${error.message}\n${error.stack}` : String(error);
  }
}

/** Runs everything that was declared, in order. A suite whose preparation fails fails in every test. */
export async function run(on: unknown): Promise<TestResult[]> {
  settings.current = on;
  const results: TestResult[] = [];
  for (const { name, before, after, tests } of suites) {
    let broken: string | null = null;
    for (const work of before) broken ??= await errorOf(work);
    for (const { name: title, work } of tests) {
      const start = performance.now();
      const error = broken ?? (await errorOf(work));
      const milliseconds = performance.now() - start;
      results.push({ name: name ? `${name} > ${title}` : title, error, milliseconds });
    }
    for (const work of after) {
      const error = await errorOf(work);
      if (error && !broken) results.push({ name: `${name} > afterAll`, error, milliseconds: 0 });
    }
  }
  return results;
}
