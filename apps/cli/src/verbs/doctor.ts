import { arch, cpus, freemem, platform, totalmem } from 'node:os';
import { backendOptions, formatBytes } from '@qlorajs/session';
import { autoChoice, defaultThreads, type FoundBackend, findBackends } from '../io/backend.js';
import { graphicsMemory } from '../io/graphics-memory.js';
import { EXIT } from '../report/failure.js';
import { verb } from './verb.js';

/** `maxBindingBytes` as people read it. */
function fact([key, value]: [string, string | number | boolean]): string {
  const words = key.replace(/Bytes$/, '').replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  if (typeof value === 'boolean') return `${value ? '' : 'no '}${words}`;
  return `${words} ${key.endsWith('Bytes') ? formatBytes(Number(value)) : value}`;
}

function line({ name, available, reason, code, info }: FoundBackend): string {
  const facts = Object.entries(info ?? {}).filter(([, value]) => value !== '');
  const text = available ? facts.map(fact).join(', ') : `not available: ${reason} [${code}]`;
  return `${name.padEnd(8)} ${text}`;
}

export const doctor = verb({
  name: 'doctor',
  summary: 'what this machine offers, and what --backend auto takes',
  options: backendOptions,
  async run(options, ui) {
    const backends = await findBackends(options);
    const auto = autoChoice(backends);
    const graphics = await graphicsMemory();
    const report = {
      node: process.version,
      platform: `${platform()} ${arch()}`,
      cpu: cpus()[0]?.model.trim() ?? 'unknown',
      threads: defaultThreads(),
      memory_bytes: { total: totalmem(), free: freemem() },
      gpu_memory_bytes: graphics,
      backends,
      auto,
    };
    const lines = [
      `node     ${report.node} on ${report.platform}`,
      `cpu      ${report.cpu}, ${report.threads} threads`,
      `memory   ${formatBytes(totalmem())}, ${formatBytes(freemem())} free`,
      ...graphics.map(
        ({ name, total, free }) =>
          `gpu      ${name}: ${formatBytes(total)}, ${formatBytes(free)} free`,
      ),
      ...backends.map(line),
      `auto     takes ${auto ? `${auto.backend}: ${auto.reason}` : 'nothing: no backend works here'}`,
    ];
    ui.print(`${lines.join('\n')}\n`);
    ui.result(report);
    return auto ? EXIT.done : EXIT.failed;
  },
});
