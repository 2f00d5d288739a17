import { QLoraError } from '@qlorajs/errors';

/** How one kind of value is read, from a flag's text or from a configuration file's value. */
export interface ValueType<T> {
  /** Shown in `--help`; null for a switch. */
  readonly placeholder: string | null;
  /** The flag may stand alone, and has a `--no-` form; what it means then is true or false. */
  readonly isSwitch?: boolean;
  /** @throws QLoraError `OPTION_VALUE` */
  parse(value: unknown, name: string): T;
}

function wrong(name: string, value: unknown, expected: string): QLoraError {
  return new QLoraError(
    'OPTION_VALUE',
    `${name} is ${JSON.stringify(value)}; it must be ${expected}`,
    { details: { option: name, value } },
  );
}

function toNumber(value: unknown): number {
  if (typeof value === 'string' && value.trim() !== '') return Number(value);
  return typeof value === 'number' ? value : Number.NaN;
}

function numeric(
  placeholder: string,
  kind: string,
  accept: (value: number) => boolean,
  { min, max }: { min?: number; max?: number },
): ValueType<number> {
  const range = [min === undefined ? '' : ` from ${min}`, max === undefined ? '' : ` up to ${max}`];
  return {
    placeholder,
    parse(value, name) {
      const number = toNumber(value);
      const inside = number >= (min ?? -Infinity) && number <= (max ?? Infinity);
      if (inside && accept(number)) return number;
      throw wrong(name, value, `${kind}${range.join('')}`);
    },
  };
}

/** A whole number. */
export function integer(min?: number, max?: number): ValueType<number> {
  return numeric('N', 'a whole number', Number.isSafeInteger, { min, max });
}

/** Any finite number: `2e-4`. */
export function number(min?: number, max?: number): ValueType<number> {
  return numeric('X', 'a number', Number.isFinite, { min, max });
}

/** A text that is not empty. */
export function text(placeholder: string): ValueType<string> {
  return {
    placeholder,
    parse(value, name) {
      if (typeof value === 'string' && value !== '') return value;
      throw wrong(name, value, 'a text that is not empty');
    },
  };
}

/** A text that may be empty. */
export function anyText(placeholder: string): ValueType<string> {
  return {
    placeholder,
    parse(value, name) {
      if (typeof value === 'string') return value;
      throw wrong(name, value, 'a text');
    },
  };
}

/** One of a few words. */
export function choice<const T extends string>(...words: readonly T[]): ValueType<T> {
  return {
    placeholder: words.join('|'),
    parse(value, name) {
      const found = words.find((word) => word === value);
      if (found !== undefined) return found;
      throw wrong(name, value, `one of ${words.join(', ')}`);
    },
  };
}

/** On or off. */
export const toggle: ValueType<boolean> = {
  placeholder: null,
  parse(value, name) {
    if (typeof value === 'boolean') return value;
    throw wrong(name, value, 'true or false');
  },
};

/** On, off, or one of a few other words: `--flag`, `--no-flag`, `--flag word`. */
export function toggleOr<const T extends string>(...words: readonly T[]): ValueType<boolean | T> {
  return {
    placeholder: ['true', 'false', ...words].join('|'),
    isSwitch: true,
    parse(value, name) {
      if (value === true || value === 'true') return true;
      if (value === false || value === 'false') return false;
      const found = words.find((word) => word === value);
      if (found !== undefined) return found;
      throw wrong(name, value, `true, false or ${words.join(', ')}`);
    },
  };
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1024,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
};

/** A number of bytes: `6GB`, `512 MiB`, `4000000000`. Units are powers of 1,024, as GPU makers count. */
export const byteSize: ValueType<number> = {
  placeholder: 'SIZE',
  parse(value, name) {
    const [, digits, unit] =
      /^\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?\s*$/i.exec(String(value)) ?? [];
    const bytes = Math.floor(Number(digits) * UNITS[(unit ?? '').toLowerCase()]);
    if (bytes > 0 && Number.isSafeInteger(bytes)) return bytes;
    throw wrong(name, value, 'a size above 0, as in 6GB, 512MiB or a number of bytes');
  },
};

/** Texts: repeated flags, one text with commas, or a list in a configuration file. */
export function texts(placeholder: string): ValueType<readonly string[]> {
  return {
    placeholder,
    parse(value, name) {
      const list = (Array.isArray(value) ? value : [value]).flatMap((each) =>
        typeof each === 'string' ? each.split(',').map((part) => part.trim()) : [each],
      );
      if (list.length > 0 && list.every((each) => typeof each === 'string' && each !== ''))
        return list;
      throw wrong(name, value, 'a text, or texts with commas between them');
    },
  };
}

/** Texts taken whole, commas and spaces included: repeated flags, or a list in a configuration file. */
export function whole(placeholder: string): ValueType<readonly string[]> {
  return {
    placeholder,
    parse(value, name) {
      const list = [value].flat();
      if (list.length > 0 && list.every((each) => typeof each === 'string' && each !== ''))
        return list as string[];
      throw wrong(name, value, 'a text that is not empty, or several');
    },
  };
}

/**
 * PEFT's `target_modules`: names with commas between them; or one text, which is `all-linear` or a
 * regular expression for whole names (it holds one of the characters `\ * + ? ( ) [ ] | ^ $`).
 */
export const modules: ValueType<readonly string[] | string> = {
  placeholder: 'NAMES',
  parse(value, name) {
    if (typeof value === 'string' && (value === 'all-linear' || /[\\*+?()[\]|^$]/.test(value)))
      return value;
    return texts('NAMES').parse(value, name);
  },
};

function pairs(value: unknown): [string, unknown][] {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return Object.entries(value);
  return String(value)
    .split(',')
    .map((pair) => {
      const at = pair.lastIndexOf('=');
      return [pair.slice(0, at).trim(), pair.slice(at + 1)];
    });
}

/** Numbers above 0 by name: `fc1=8,fc2=8` as a flag, a mapping in a configuration file. */
export const patterns: ValueType<Readonly<Record<string, number>>> = {
  placeholder: 'NAME=N,…',
  parse(value, name) {
    const entries = pairs(value).map(([key, each]) => [key, toNumber(each)] as const);
    if (entries.every(([key, each]) => key !== '' && each > 0 && Number.isFinite(each)))
      return Object.fromEntries(entries);
    throw wrong(name, value, 'numbers above 0 by module name, as in fc1=8,fc2=8');
  },
};
