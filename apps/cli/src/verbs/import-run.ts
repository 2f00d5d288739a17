import { join } from 'node:path';
import { formatBytes, option, optional, required, text, toggle } from '@qlorajs/session';
import { importedFiles } from '../cluster/import-result.js';
import { readProject } from '../cluster/project-files.js';
import { readResult } from '../cluster/read-result.js';
import { fillFolder, placeFiles } from '../io/atomic.js';
import { openOutput } from '../io/output-folder.js';
import { verb } from './verb.js';

export const importRun = verb({
  name: 'import-run',
  summary:
    'bring the finished adapter of an exported run home, checked, as qlora train would leave it',
  argument: { name: 'project', describe: 'the folder that export-run wrote' },
  options: {
    result: optional(text('DIR'), "the run's own folder (default: PROJECT/result)"),
    out: required(text('DIR'), 'folder for the adapter'),
    overwrite: option(toggle, false, 'replace the adapter in --out'),
  },
  async run({ result: folder, out, overwrite }, ui, path) {
    const project = await readProject(path);
    const result = await readResult(project, folder ?? join(path, 'result'));
    const { files, summary } = importedFiles(project, result, out);
    const output = await openOutput(out, {
      bytes: 2 * summary.adapterBytes,
      reuse: overwrite,
      remedy: 'give another --out, or --overwrite',
    });
    try {
      await placeFiles(out, 'adapter_config.json', (temporary) => fillFolder(temporary, files));
    } finally {
      await output.discardIfEmpty();
    }
    const { steps, firstLoss, lastLoss, evaluation } = summary;
    ui.print(
      `${out}: adapter of ${formatBytes(summary.adapterBytes)} after ${steps} steps by ${project.job.target}, loss ${firstLoss.toFixed(4)} → ${lastLoss.toFixed(4)}\n`,
    );
    ui.result({ out, engine: project.job.target, run: project.job.run, ...summary, evaluation });
    return 0;
  },
});
