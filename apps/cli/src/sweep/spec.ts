import { QLoraError } from '@qlorajs/errors';
import { nearest, trainingOptions } from '@qlorajs/session';
import { parse as parseYaml } from 'yaml';
import { readText } from '../io/read.js';

/** A range that a random search draws from. */
export interface Range {
  readonly min: number;
  readonly max: number;
  readonly scale: 'linear' | 'log';
  readonly integer: boolean;
}

/** What a parameter may be: one of some values, or a number of a range. */
export type Choices = readonly unknown[] | Range;

/** A search over training options. */
export interface SweepSpec {
  readonly method: 'grid' | 'random';
  /** Of a random search. */
  readonly trials: number;
  readonly seed: number;
  /** Options of `qlora train` that every trial shares. */
  readonly train: Readonly<Record<string, unknown>>;
  readonly parameters: Readonly<Record<string, Choices>>;
}

type Table = Readonly<Record<string, unknown>>;

export function isRange(choices: Choices): choices is Range {
  return !Array.isArray(choices);
}

function isTable(value: unknown): value is Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function fail(file: string, what: string, details: object = {}): never {
  throw new QLoraError('SWEEP_SPEC', `${file}: ${what}`, { details: { file, ...details } });
}

function checkKeys(file: string, where: string, table: Table, known: readonly string[]): void {
  for (const key of Object.keys(table))
    if (!known.includes(key))
      fail(file, `unknown key "${where}${key}"; the nearest is "${nearest(key, known)}"`, { key });
}

function rangeOf(file: string, name: string, value: Table, method: string): Range {
  checkKeys(file, `parameters.${name}.`, value, ['min', 'max', 'scale', 'integer']);
  const { min, max, scale = 'linear', integer = false } = value;
  if (method === 'grid')
    fail(file, `parameters.${name} is a range; a grid needs a list of values, as in [8, 16]`);
  if (typeof min !== 'number' || typeof max !== 'number' || !(min < max))
    fail(file, `parameters.${name} needs numbers min and max, min the smaller`);
  if (scale !== 'linear' && scale !== 'log')
    fail(file, `parameters.${name}.scale is ${JSON.stringify(scale)}; it must be linear or log`);
  if (scale === 'log' && min <= 0) fail(file, `parameters.${name}: a log scale starts above 0`);
  if (typeof integer !== 'boolean') fail(file, `parameters.${name}.integer must be true or false`);
  return { min, max, scale, integer };
}

function choicesOf(file: string, name: string, value: unknown, method: string): Choices {
  if (isTable(value)) return rangeOf(file, name, value, method);
  const values: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (values.length === 0) fail(file, `parameters.${name} has no values`);
  const { type } = trainingOptions[name as keyof typeof trainingOptions];
  for (const each of values) type.parse(each, `${file}: parameters.${name}`);
  return values;
}

function wholeNumber(file: string, key: string, value: unknown, least: number): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least) return value;
  return fail(file, `${key} is ${JSON.stringify(value)}; it must be a whole number from ${least}`);
}

/**
 * Reads a sweep's YAML or JSON file; every option is checked before the first trial.
 * @throws QLoraError `SWEEP_SPEC`, `OPTION_VALUE`
 */
export async function readSpec(file: string): Promise<SweepSpec> {
  const source = await readText(file);
  let value: unknown;
  try {
    value = parseYaml(source);
  } catch (cause) {
    fail(file, (cause as Error).message.trim());
  }
  if (!isTable(value)) fail(file, 'must hold method, train and parameters');
  checkKeys(file, '', value, ['method', 'trials', 'seed', 'train', 'parameters']);
  const { method = 'grid', train = {}, parameters } = value;
  if (method !== 'grid' && method !== 'random')
    fail(file, `method is ${JSON.stringify(method)}; it must be grid or random`);
  if (!isTable(train)) fail(file, 'train must hold options of "qlora train"');
  if (!isTable(parameters) || Object.keys(parameters).length === 0)
    fail(file, 'parameters must name at least one option, as in "learning_rate: [1e-4, 2e-4]"');
  const own = ['out', 'overwrite', 'resume_from_checkpoint'];
  const known = Object.keys(trainingOptions).filter((key) => !own.includes(key));
  checkKeys(file, 'train.', train, known);
  checkKeys(file, 'parameters.', parameters, known);
  for (const [key, each] of Object.entries(train))
    trainingOptions[key as keyof typeof trainingOptions].type.parse(each, `${file}: train.${key}`);
  if (train.eval_data === undefined && train.eval_split === undefined)
    fail(file, 'train needs eval_data or eval_split: trials are compared by their held-out loss');
  return {
    ...{ method, train },
    trials: method === 'random' ? wholeNumber(file, 'trials', value.trials ?? 10, 1) : 0,
    seed: wholeNumber(file, 'seed', value.seed ?? 42, 0),
    parameters: Object.fromEntries(
      Object.entries(parameters).map(([key, each]) => [key, choicesOf(file, key, each, method)]),
    ),
  };
}
