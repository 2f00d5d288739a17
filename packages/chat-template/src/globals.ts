import { QLoraError } from '@qlorajs/errors';
import { TemplateLimit } from './bounded-interpreter.js';

/** Jinja's sandbox in Python allows no longer range either. */
const MAX_RANGE = 100_000;

function range(first: number, second?: number, step = 1): number[] {
  const start = second === undefined ? 0 : first;
  const stop = second ?? first;
  if (step === 0) throw new Error('range() step must not be zero');
  const count = Math.max(0, Math.ceil((stop - start) / step));
  if (!(count <= MAX_RANGE)) throw new Error(`range() of more than ${MAX_RANGE} numbers`);
  return Array.from({ length: count }, (_, index) => start + index * step);
}

const MONTHS =
  'January February March April May June July August September October November December';
const DAYS = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday';

function pad(value: number, width = 2): string {
  return String(value).padStart(width, '0');
}

/** `datetime.now().strftime(format)` with English names, as Python gives in its default locale. */
export function strftime(date: Date, format: string): string {
  const month = MONTHS.split(' ')[date.getMonth()]!;
  const day = DAYS.split(' ')[date.getDay()]!;
  const directives: Record<string, string> = {
    Y: pad(date.getFullYear(), 4),
    y: pad(date.getFullYear() % 100),
    m: pad(date.getMonth() + 1),
    B: month,
    b: month.slice(0, 3),
    d: pad(date.getDate()),
    A: day,
    a: day.slice(0, 3),
    H: pad(date.getHours()),
    I: pad(date.getHours() % 12 || 12),
    p: date.getHours() < 12 ? 'AM' : 'PM',
    M: pad(date.getMinutes()),
    S: pad(date.getSeconds()),
    '%': '%',
  };
  return format.replace(/%([a-zA-Z%])/g, (directive, letter: string) => {
    const value = directives[letter];
    if (value === undefined) throw new Error(`strftime_now does not know ${directive}`);
    return value;
  });
}

/** What a template asked for with `raise_exception(…)`. */
export class RaisedByTemplate extends Error {}

/** The globals that transformers gives to a chat template. */
export function templateGlobals(): Record<string, unknown> {
  return {
    true: true,
    True: true,
    false: false,
    False: false,
    none: null,
    None: null,
    range,
    strftime_now: (format: string) => strftime(new Date(), format),
    raise_exception: (message: unknown) => {
      throw new RaisedByTemplate(String(message));
    },
  };
}

/** The error of a template that did not render. */
export function renderError(cause: unknown): QLoraError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  if (cause instanceof RaisedByTemplate) {
    return new QLoraError(
      'CHAT_TEMPLATE_RAISED',
      `The chat template refuses these messages: ${reason}; change the messages as it asks`,
      { cause, details: { reason } },
    );
  }
  if (cause instanceof TemplateLimit) {
    return new QLoraError(
      'CHAT_TEMPLATE_LIMIT',
      `The chat template was stopped: ${reason}; shorten the messages, or take another template`,
      { cause, details: { limit: cause.limit } },
    );
  }
  return new QLoraError(
    'CHAT_TEMPLATE_RENDER',
    `The chat template failed on these messages: ${reason}; check that they have the fields it reads, or use another template`,
    { cause, details: { reason } },
  );
}
