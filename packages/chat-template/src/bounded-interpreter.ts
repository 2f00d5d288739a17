import { type Environment, Interpreter } from '@huggingface/jinja';

/** Expressions and statements of one rendering: a chat of 2,000 messages takes 60,000. */
export const MAX_STEPS = 2_000_000;
/** For the few steps that take long by themselves, such as sorting a list of a million. */
export const MAX_SECONDS = 5;
/** In UTF-16 units: far above any context window, far below what exhausts memory. */
export const MAX_TEXT = 16 * 2 ** 20;
const MAX_ITEMS = 2 ** 20;
const STEPS_BETWEEN_LOOKS = 32;

type Statement = Parameters<Interpreter['evaluate']>[0];
type Value = ReturnType<Interpreter['evaluate']>;

/** A template that was stopped; `limit` says at what. */
export class TemplateLimit extends Error {
  constructor(readonly limit: 'steps' | 'seconds' | 'text' | 'items') {
    const what = {
      steps: `it takes more than ${MAX_STEPS} steps`,
      seconds: `it takes more than ${MAX_SECONDS} s`,
      text: `it writes more than ${MAX_TEXT} characters`,
      items: `it makes a list of more than ${MAX_ITEMS} items`,
    }[limit];
    super(what);
  }
}

/** What a `for` goes over, without the `if` that may follow. */
function iterableOf(node: object): object {
  const { iterable } = node as { iterable: { type: string; lhs?: object } };
  return iterable.type === 'SelectExpression' ? (iterable.lhs ?? iterable) : iterable;
}

/**
 * Runs a template that nobody vouches for: nested loops, texts that double and macros that call
 * themselves end in an error, soon.
 */
export class BoundedInterpreter extends Interpreter {
  private steps = 0;
  private nextLook = STEPS_BETWEEN_LOOKS;
  private readonly deadline = performance.now() + 1000 * MAX_SECONDS;
  private readonly iterables = new WeakSet<object>();

  override evaluate(statement: Statement, environment: Environment): Value {
    this.take(1);
    if (statement?.type === 'For') this.iterables.add(iterableOf(statement));
    const result = super.evaluate(statement, environment);
    const { value } = result;
    if (typeof value === 'string') {
      if (value.length > MAX_TEXT) throw new TemplateLimit('text');
    } else if (Array.isArray(value) || value instanceof Map) {
      const size = Array.isArray(value) ? value.length : value.size;
      if (size > MAX_ITEMS) throw new TemplateLimit('items');
      // Every turn of a loop is a step, even where its body has none.
      if (statement && this.iterables.has(statement)) this.take(size);
    }
    return result;
  }

  private take(steps: number): void {
    this.steps += steps;
    if (this.steps > MAX_STEPS) throw new TemplateLimit('steps');
    if (this.steps < this.nextLook) return;
    this.nextLook = this.steps + STEPS_BETWEEN_LOOKS;
    if (performance.now() > this.deadline) throw new TemplateLimit('seconds');
  }
}
