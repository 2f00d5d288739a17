import { arch, cpus, freemem, platform, totalmem } from 'node:os';
import type { Backend } from '@qlorajs/compute';
import { ABSENT_BACKENDS, AUTO_REASON, defaultThreads, openBackend } from '../io/backend.js';
import { backendOptions } from '../options/common-options.js';
import { formatBytes } from '../report/format.js';
import { verb } from './verb.js';

interface Found {
  readonly name: string;
  readonly available: boolean;
  readonly reason?: string;
  readonly info?: Backend['info'];
}

async function tryWasm(threads: number | undefined): Promise<Found> {
  try {
    const backend = await openBackend({ backend: 'wasm', threads });
    const { info } = backend;
    await backend.dispose();
    return { name: 'wasm', available: true, info };
  } catch (error) {
    return { name: 'wasm', available: false, reason: (error as Error).message };
  }
}

export const doctor = verb({
  name: 'doctor',
  summary: 'what this machine offers, and what --backend auto takes',
  options: backendOptions,
  async run({ threads }, ui) {
    const wasm = await tryWasm(threads);
    const absent = ABSENT_BACKENDS.map(
      (name): Found => ({ name, available: false, reason: 'not in this version' }),
    );
    const report = {
      node: process.version,
      platform: `${platform()} ${arch()}`,
      cpu: cpus()[0]?.model.trim() ?? 'unknown',
      threads: defaultThreads(),
      memory_bytes: { total: totalmem(), free: freemem() },
      backends: [wasm, ...absent],
      auto: wasm.available ? { backend: 'wasm', reason: AUTO_REASON } : null,
    };
    const lines = [
      `node     ${report.node} on ${report.platform}`,
      `cpu      ${report.cpu}, ${report.threads} threads`,
      `memory   ${formatBytes(totalmem())}, ${formatBytes(freemem())} free`,
      ...report.backends.map(
        ({ name, available, reason, info }) =>
          `${name.padEnd(8)} ${available ? `available ${JSON.stringify(info)}` : reason}`,
      ),
      `auto     takes ${report.auto ? `${report.auto.backend} (${AUTO_REASON})` : 'nothing: no backend works here'}`,
    ];
    ui.print(`${lines.join('\n')}\n`);
    ui.result(report);
    return report.auto ? 0 : 1;
  },
});
