import { CommanderError } from 'commander';
import { createProgram } from './program.js';
import { describeFailure, EXIT } from './report/failure.js';
import { ask } from './verbs/ask.js';
import { cache } from './verbs/cache.js';
import { chat } from './verbs/chat.js';
import { combine } from './verbs/combine.js';
import { dataCheck } from './verbs/data-check.js';
import { doctor } from './verbs/doctor.js';
import { evaluate } from './verbs/eval.js';
import { exportVerb } from './verbs/export.js';
import { exportRun } from './verbs/export-run.js';
import { importRun } from './verbs/import-run.js';
import { logits } from './verbs/logits.js';
import { merge } from './verbs/merge.js';
import { plan } from './verbs/plan.js';
import { playground } from './verbs/playground.js';
import { quantize } from './verbs/quantize.js';
import { quickstart } from './verbs/quickstart.js';
import { serve } from './verbs/serve.js';
import { sweep } from './verbs/sweep.js';
import { tokenize } from './verbs/tokenize.js';
import { train } from './verbs/train.js';
import { VERSION } from './version.js';

const verbs = [
  train,
  plan,
  ask,
  chat,
  serve,
  playground,
  evaluate,
  sweep,
  dataCheck,
  tokenize,
  logits,
  merge,
  combine,
  exportVerb,
  exportRun,
  importRun,
  quantize,
  doctor,
  cache,
  quickstart,
];

/** Runs one command line and returns its exit code. */
async function run(argv: readonly string[]): Promise<number> {
  const json = argv.includes('--json');
  let exitCode: number = EXIT.done;
  const program = createProgram(verbs, VERSION, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(argv, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return EXIT.done; // --help, --version
      if (json) writeJson({ error: { code: 'USAGE', message: error.message } });
      return EXIT.wrongInput;
    }
    const failure = describeFailure(error, argv.includes('--verbose'));
    process.stderr.write(failure.text);
    if (json) writeJson(failure.document);
    return failure.exitCode;
  }
}

function writeJson(document: unknown): void {
  process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
}

process.exitCode = await run(process.argv.slice(2));
