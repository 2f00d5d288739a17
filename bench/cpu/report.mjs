const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

const number = (value) =>
  value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
const mebibytes = (bytes) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;

function table(header, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [
    line(header),
    line(header.map((_, i) => (i === 0 ? '---' : '--:'))),
    ...rows.map(line),
  ].join('\n');
}

/** Replaces the samples of a part by their medians: what is kept and printed. */
export function summarize(part) {
  const variants = Object.entries(part.results).map(([name, result]) => {
    const measured = Object.entries(result.samples).filter(([, { rounds }]) => rounds.length > 0);
    const values = Object.fromEntries(
      measured.map(([request, { first, rounds }]) => {
        const of = (key) => rounds.map((sample) => sample[key]);
        const { loss, chosen } = first;
        return [
          request,
          {
            value: median(of(part.unit)),
            all: of(part.unit),
            ms: median(of('ms')),
            cpuMs: median(of('cpuMs')),
            others: median(of('others')),
            ...(rounds[0].prefillMs === undefined ? {} : { prefillMs: median(of('prefillMs')) }),
            ...(loss === undefined ? {} : { firstLoss: loss }),
            ...(chosen === undefined ? {} : { chosen }),
          },
        ];
      }),
    );
    const { label, ours, facts, memory, failed, profile } = result;
    return [name, { label, ours, values, memory, facts, failed, profile }];
  });
  return { ...part, results: Object.fromEntries(variants) };
}

/** How many times as fast as `theirs`, from the pairs of one round each. */
function speedup(unit, ours, theirs) {
  const pairs = ours.all.map((value, i) => [value, theirs.all[i]]).filter(([, other]) => other);
  return median(pairs.map(([a, b]) => (unit === 'ms' ? b / a : a / b)));
}

const faster =
  (unit) =>
  ([, a], [, b]) =>
    unit === 'ms' ? a.value - b.value : b.value - a.value;

function fastest(part, request, accept) {
  const candidates = Object.entries(part.results)
    .filter(([name, result]) => accept(name, result) && result.values[request])
    .map(([name, { values }]) => [name, values[request]]);
  return candidates.sort(faster(part.unit))[0] ?? null;
}

function partTable(part) {
  const requests = [
    ...new Set(Object.values(part.results).flatMap(({ values }) => Object.keys(values))),
  ];
  const rows = requests.flatMap((request) => {
    const best = fastest(part, request, (_, { ours }) => !ours);
    const f32 = fastest(part, request, (name, { ours }) => !ours && !name.endsWith('bf16'));
    return Object.values(part.results)
      .filter(({ values }) => values[request])
      .map(({ label, values, memory, ours }) => {
        const each = values[request];
        const ratio = (other) =>
          ours && other ? `${number(speedup(part.unit, each, other[1]))}x` : '';
        const range = `${number(Math.min(...each.all))} to ${number(Math.max(...each.all))}`;
        const others = `${(100 * each.others).toFixed(0)} %`;
        const peak = memory ? mebibytes(memory.peakBytes) : '';
        return [
          requests.length > 1 ? `${request}, ${label}` : label,
          number(each.value),
          range,
          ratio(best),
          ratio(f32),
          others,
          peak,
        ];
      });
  });
  const failed = Object.values(part.results)
    .filter((result) => result.failed)
    .map(({ label, failed: why }) => `\n${label}: not measured (${why.split('\n').at(-1)})`);
  const header = [
    '',
    'median',
    'range',
    'of the fastest Python',
    'of the fastest in f32',
    'cores used by others',
    'peak memory',
  ];
  const load = part.load.map((value) => value.toFixed(1)).join(' to ');
  return `### ${part.title}\n\nLoad average ${load}.\n\n${table(header, rows)}${failed.join('')}`;
}

function opTable(part) {
  return Object.values(part.results)
    .filter(({ profile }) => profile)
    .map(({ label, profile }) => {
      const rows = profile.ops
        .filter(({ ms }) => ms > profile.ms / 100)
        .map(({ op, calls, ms, flop }) => [
          op,
          String(calls),
          number(ms),
          `${((100 * ms) / profile.ms).toFixed(1)} %`,
          flop ? number(flop / ms / 1e6) : '',
        ]);
      const rest = profile.ms - profile.inOps;
      rows.push([
        'outside of operations',
        '',
        number(rest),
        `${((100 * rest) / profile.ms).toFixed(1)} %`,
        '',
      ]);
      return `#### ${part.title.split(':')[0]}, ${label}: ${number(profile.ms)} ms\n\n${table(['operation', 'calls', 'ms', 'share', 'GFLOP/s'], rows)}`;
    });
}

/** With more of the cores in other hands than this, a speed is printed but not judged. */
const JUDGED = 0.15;

/** What the CPU engine is meant to reach, and what came out. */
function targets(measured) {
  const rows = [];
  const check = (what, result, wanted, holds) => {
    const verdict = result && (holds(result.value) ? 'holds' : 'does not hold');
    const value = result ? `${number(result.value)}${result.disturbed ? ' (disturbed)' : ''}` : '';
    rows.push([
      what,
      value || 'not measured',
      wanted,
      result?.disturbed ? 'measure again' : (verdict ?? ''),
    ]);
  };
  const compare = (part, request, accept) => {
    if (!part) return null;
    const ours = fastest(part, request, (name, result) => result.ours && accept(name));
    const theirs = fastest(part, request, (_, result) => !result.ours);
    if (!ours || !theirs) return null;
    const disturbed = Math.max(ours[1].others, theirs[1].others) > JUDGED;
    return { value: speedup(part.unit, ours[1], theirs[1]), disturbed };
  };
  const any = () => true;
  const atLeast = (least) => (value) => value >= least;
  const { step, decode, 'decode-large': large } = measured;
  const fastestStep = compare(step, 'step', any);
  const plainStep = compare(step, 'step', (name) => name === 'node');
  check('training step, fastest mode, of the fastest Python', fastestStep, '1 or more', atLeast(1));
  check('training step, plain Node', plainStep, '0.5 or more', atLeast(0.5));
  check('decoding phi-nano', compare(decode, 'decode', any), '3 or more', atLeast(3));
  check('decoding 1.3 B parameters', compare(large, 'decode', any), '3 or more', atLeast(3));
  for (const [name, part] of Object.entries(measured)) {
    if (name === 'gemm') continue;
    const peaks = (ours) =>
      Object.values(part.results)
        .filter((result) => result.ours === ours && result.memory)
        .map(({ memory }) => memory.peakBytes);
    const value = Math.max(...peaks(true)) / Math.min(...peaks(false));
    const result = value > 0 && value < Infinity ? { value, disturbed: false } : null;
    const what = `peak memory of ${name}: our largest by their smallest`;
    check(what, result, '0.5 or less', (ratio) => ratio <= 0.5);
  }
  return `### Targets\n\n${table(['', 'measured', 'wanted', ''], rows)}`;
}

/** Everything as Markdown. */
export function report(measured) {
  const all = Object.values(measured);
  return [...all.map(partTable), targets(measured), ...all.flatMap(opTable)].join('\n\n');
}
