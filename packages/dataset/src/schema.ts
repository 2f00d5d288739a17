import { z } from 'zod';
import type { Fault, RowFormat } from './row.js';

const ids = z.array(z.int());

/** What each format needs; other keys (`id`, `source`, `meta`) are left alone. */
export const SCHEMAS = {
  messages: z.object({ messages: z.array(z.object({ role: z.string(), content: z.string() })) }),
  sharegpt: z.object({
    conversations: z.array(
      z.union([
        z.object({ from: z.string(), value: z.string() }),
        z.object({ role: z.string(), content: z.string() }),
      ]),
    ),
  }),
  tokens: z.object({
    input_ids: ids,
    labels: ids.optional(),
    attention_mask: ids.optional(),
  }),
  'prompt-completion': z.object({ prompt: z.string(), completion: z.string() }),
  instruction: z.object({
    instruction: z.string(),
    input: z.string().nullish(),
    output: z.string(),
    system: z.string().nullish(),
  }),
  text: z.object({ text: z.string() }),
} as const;

/** The key that gives a format away, in the order in which they are looked for. */
const TELLING_KEYS: readonly (readonly [string, RowFormat])[] = [
  ['messages', 'messages'],
  ['conversations', 'sharegpt'],
  ['input_ids', 'tokens'],
  ['completion', 'prompt-completion'],
  ['instruction', 'instruction'],
  ['prompt', 'prompt-completion'],
  ['text', 'text'],
];

/** The format of a row by its keys. */
export function formatOf(row: object): RowFormat | null {
  return TELLING_KEYS.find(([key]) => key in row)?.[1] ?? null;
}

const KINDS: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  array: 'a list',
  object: 'an object',
};

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'number') return `the number ${value}`;
  return KINDS[typeof value] ?? String(value);
}

/** `messages[1].content` */
export function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (text, part) =>
      typeof part === 'number'
        ? `${text}[${part}]`
        : text === ''
          ? String(part)
          : `${text}.${String(part)}`,
    '',
  );
}

function valueAt(row: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, part) => (value as Record<PropertyKey, unknown> | undefined)?.[part],
    row,
  );
}

/** Says in a line what a schema found first. */
export function fieldFault(row: unknown, error: z.ZodError): Fault {
  let issue = error.issues[0]!;
  let path = issue.path;
  // A turn that is neither {from, value} nor {role, content}: say what the former lacks.
  if (issue.code === 'invalid_union' && issue.errors[0]?.[0] !== undefined) {
    issue = issue.errors[0][0];
    path = [...path, ...issue.path];
  }
  const expected = issue.code === 'invalid_type' ? KINDS[issue.expected] : undefined;
  const wanted = expected ?? 'of another kind';
  const found = valueAt(row, path);
  const where = pathText(path);
  const message =
    found === undefined
      ? `${where} is missing; add it as ${wanted}`
      : `${where} is ${kindOf(found)}; it must be ${wanted}`;
  return { code: 'DATASET_FIELD', message };
}
