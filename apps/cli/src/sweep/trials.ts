import { createHash } from 'node:crypto';
import { counterKey, counterUniform } from '@qlorajs/compute';
import { type Choices, isRange, type SweepSpec } from './spec.js';

/** One set of options to try. */
export interface Trial {
  /** Of its options: the same ones have the same name in every sweep. */
  readonly name: string;
  /** The searched options alone. */
  readonly parameters: Readonly<Record<string, unknown>>;
  /** All that `qlora train` is given, but its folder. */
  readonly options: Readonly<Record<string, unknown>>;
}

function trial(spec: SweepSpec, parameters: Readonly<Record<string, unknown>>): Trial {
  const options = { ...spec.train, ...parameters };
  const sorted = Object.entries(options).sort(([a], [b]) => (a < b ? -1 : 1));
  const hash = createHash('sha256').update(JSON.stringify(sorted)).digest('hex');
  return { name: `trial-${hash.slice(0, 8)}`, parameters, options };
}

function* grid(
  entries: readonly (readonly [string, Choices])[],
): Generator<Readonly<Record<string, unknown>>> {
  const [first, ...rest] = entries;
  if (first === undefined) {
    yield {};
    return;
  }
  const [key, values] = first;
  for (const value of values as readonly unknown[])
    for (const others of grid(rest)) yield { [key]: value, ...others };
}

function draw(choices: Choices, uniform: number): unknown {
  if (!isRange(choices)) return choices[Math.floor(uniform * choices.length)];
  const { min, max, scale, integer } = choices;
  if (integer && scale === 'linear') return min + Math.floor(uniform * (max - min + 1));
  const value = scale === 'log' ? min * (max / min) ** uniform : min + (max - min) * uniform;
  return integer ? Math.round(value) : Number(value.toPrecision(4));
}

/**
 * The trials of a sweep, without repeats. A random one draws trial k from the seed and k alone
 * (Bergstra and Bengio, https://jmlr.org/papers/v13/bergstra12a.html): asking for more keeps those
 * that were there.
 */
export function trialsOf(spec: SweepSpec): Trial[] {
  const entries = Object.entries(spec.parameters);
  const sets =
    spec.method === 'grid'
      ? [...grid(entries)]
      : Array.from({ length: spec.trials }, (_, k) =>
          Object.fromEntries(
            entries.map(([key, choices], i) => [
              key,
              draw(choices, counterUniform(counterKey(spec.seed, 0x53ee + i), k)),
            ]),
          ),
        );
  const trials = new Map(sets.map((set) => trial(spec, set)).map((each) => [each.name, each]));
  return [...trials.values()];
}
