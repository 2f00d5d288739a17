import { loadavg } from 'node:os';
import { EngineProcess, untilQuiet } from './engine-process.mjs';

const say = (text) => console.error(text);

/** Bytes that a variant may need: what is not free is not tried. */
function needOf(part, { start }) {
  if (!part.needs) return 0;
  return part.needs[start.weights === 'nf4' ? 'nf4' : start.dtype];
}

async function startVariant(part, variant, threads) {
  if (process.availableMemory() < needOf(part, variant)) throw new Error('too little free memory');
  const start = { part: part.process ?? part.name, threads, ...part.start?.(), ...variant.start };
  if ('folder' in start && !start.folder) throw new Error('there is no checkpoint');
  const engine = new EngineProcess(variant.process(start));
  try {
    const facts = await engine.ask({ ask: 'facts' }, part.startSeconds ?? 120);
    return { engine, facts };
  } catch (error) {
    await engine.stop();
    throw error;
  }
}

/** Above this share of the cores used by others a sample is taken again. */
const DISTURBED = 0.1;
const ATTEMPTS = 3;
/** Rounds of a part end after this long, whatever is missing. */
const PART_SECONDS = 150;

/** One sample of a quiet machine, or the least disturbed of a few. */
async function quietSample(engine, request, seconds, until) {
  let best = null;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    await untilQuiet(Math.min(20, (until - performance.now()) / 1000));
    const sample = await engine.sample(request, seconds);
    if (!best || sample.others < best.others) best = sample;
    if (best.others < DISTURBED || performance.now() > until) break;
  }
  return best;
}

/**
 * Loads every variant, then asks them in turn, A B C A B C …: what changes on the machine meanwhile
 * meets all of them. A variant that fails or runs past its time leaves, with the reason in `failed`.
 */
export async function measurePart(part, variants, { threads, rounds, profile }) {
  const load = [loadavg()[0]];
  const running = [];
  const results = {};
  for (const variant of variants.filter(({ parts }) => parts.includes(part.name))) {
    say(`${part.name}: ${variant.name} starts`);
    results[variant.name] = { label: variant.label, ours: variant.ours, samples: {} };
    try {
      running.push({ variant, ...(await startVariant(part, variant, threads)) });
      results[variant.name].facts = running.at(-1).facts;
    } catch (error) {
      results[variant.name].failed = error.message.trim().slice(-500);
      say(`  failed: ${error.message}`);
    }
  }
  const seconds = part.sampleSeconds ?? 60;
  const leave = (each, error) => {
    say(`  ${each.variant.name} failed: ${error.message}`);
    results[each.variant.name].failed = error.message.trim().slice(-500);
    running.splice(running.indexOf(each), 1);
  };
  // The first rounds warm up: modules are optimized, buffers grow, caches of libraries fill.
  const until = performance.now() + 1000 * PART_SECONDS;
  for (const { name, request } of part.requests)
    for (let round = -2; round < (part.rounds ?? rounds); round++)
      for (const each of [...running]) {
        if (round > 0 && performance.now() > until) break;
        try {
          const asked = { ask: 'sample', ...request };
          const sample = await (round < 0
            ? each.engine.sample(asked, seconds)
            : quietSample(each.engine, asked, seconds, until));
          const { samples } = results[each.variant.name];
          if (round === -2) samples[name] = { first: sample, rounds: [] };
          else if (round >= 0) samples[name].rounds.push(sample);
          say(
            `  ${name}, round ${round}, ${each.variant.name}: ${sample.ms.toFixed(2)} ms, others ${sample.others.toFixed(2)}`,
          );
        } catch (error) {
          leave(each, error);
        }
      }
  load.push(loadavg()[0]);
  for (const each of [...running]) {
    try {
      results[each.variant.name].memory = await each.engine.ask({ ask: 'memory' }, 10);
      if (profile && part.name !== 'gemm') {
        const { ms, ops } = await each.engine.ask({ ask: 'profile' }, seconds);
        const inOps = ops.reduce((sum, op) => sum + op.ms, 0);
        results[each.variant.name].profile = { ms, inOps, ops: ops.slice(0, 20) };
      }
    } catch (error) {
      leave(each, error);
    }
    await each.engine.stop();
  }
  return { title: part.title, unit: part.unit, load, results };
}
