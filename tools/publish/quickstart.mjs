// npm run check:quickstart: what a user without the repository does. Packs everything, installs the command
// into an empty folder, runs `npx qlorajs quickstart` there and asks the adapter that it wrote.
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { pack, published } from './packages.mjs';
import { cleanProject, output } from './project.mjs';

const steps = process.argv[2] ?? '3';
const FILES = [
  'adapter_config.json',
  'adapter_model.safetensors',
  'tokenizer.json',
  'chat_template.jinja',
];
const MUST = [...FILES, 'README.md', 'train_log.jsonl', 'trainer_state.json', 'loss.svg'];

pack();
const started = performance.now();
const seconds = () => `${((performance.now() - started) / 1000).toFixed(1)} s`;
const folder = cleanProject(published);
try {
  console.log(`npm install of ${published.length} tarballs: ${seconds()}`);
  const printed = output('npx', ['qlorajs', 'quickstart', '--max-steps', steps], folder);
  const adapter = join(folder, 'tutor-algoritmos');
  const missing = MUST.filter((file) => !existsSync(join(adapter, file)));
  if (missing.length > 0)
    throw new Error(`tutor-algoritmos/ lacks ${missing.join(', ')}\n${printed}`);
  const { peft_type, r } = JSON.parse(readFileSync(join(adapter, 'adapter_config.json'), 'utf8'));
  const { size } = statSync(join(adapter, 'adapter_model.safetensors'));
  console.log(
    `npx qlorajs quickstart --max-steps ${steps}: ${seconds()}; ${peft_type} adapter, r ${r}, ${size} bytes`,
  );
  const question = [
    'ask',
    '--adapter',
    'tutor-algoritmos',
    '--max-new-tokens',
    '8',
    '--json',
    '¿Qué es una pila?',
  ];
  const { answer } = JSON.parse(output('npx', ['qlora', ...question], folder));
  console.log(`npx qlora ask: ${JSON.stringify(answer)}, ${seconds()}`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
