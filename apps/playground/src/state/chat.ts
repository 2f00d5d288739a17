import { computed, signal } from '@preact/signals';
import { type GenerationSettings, generationOptions, withDefaults } from '@qlorajs/session';
import type { NamedFile, Said } from '../protocol.js';
import { words } from '../text/index.js';
import { addVoice, attempt, engine, onEngine, tell, voices } from './engine.js';

/** What one side said: whole, or as far as it came. */
interface Answer {
  readonly voice: string;
  readonly text: string;
  readonly said: Said | null;
}

export interface Exchange {
  readonly question: string;
  readonly answers: readonly Answer[];
}

export const exchanges = signal<readonly Exchange[]>([]);
export const answering = signal(false);
const wantedVoice = signal<string | null>(null);
/** Who answers: the one that was chosen, else the first adapter, else the base. */
export const voice = computed<string>(() => {
  const names = voices.value.map(({ name }) => name);
  if (wantedVoice.value !== null && names.includes(wantedVoice.value)) return wantedVoice.value;
  return voices.value.find(({ rank }) => rank !== null)?.name ?? names[0] ?? '';
});
/** Who answers beside; '' is nobody. */
export const versus = signal('');
export const settings = signal<GenerationSettings>(
  withDefaults(generationOptions, { maxNewTokens: 160 }),
);

export function choose(name: string): void {
  wantedVoice.value = name;
  if (versus.value === name) versus.value = '';
}

function updateLast(change: (answers: readonly Answer[]) => readonly Answer[]): void {
  const last = exchanges.value.at(-1);
  if (!last) return;
  const answers = change(last.answers);
  exchanges.value = [...exchanges.value.slice(0, -1), { ...last, answers }];
}

onEngine((event) => {
  if (event.type !== 'text') return;
  updateLast((answers) =>
    answers.map((each, i) =>
      event.slot === each.voice || (event.slot === 'main' && i === 0)
        ? { ...each, text: each.text + event.text }
        : each,
    ),
  );
});

/** Asks whoever is chosen; two of them answer side by side, without memory. */
export async function ask(question: string): Promise<void> {
  if (answering.value || question.trim() === '' || voice.value === '') return;
  const names = versus.value === '' ? [voice.value] : [voice.value, versus.value];
  const empty = names.map((name) => ({ voice: name, text: '', said: null }));
  exchanges.value = [...exchanges.value, { question, answers: empty }];
  answering.value = true;
  const said = await attempt(async () =>
    names.length === 1
      ? [await engine.say(names[0], question, settings.value)]
      : await engine.compare(names, question, settings.value),
  );
  answering.value = false;
  if (said === null) exchanges.value = exchanges.value.slice(0, -1);
  else updateLast(() => said.map((each) => ({ voice: each.voice, text: each.text, said: each })));
}

export function clearChat(): void {
  exchanges.value = [];
  void engine.reset();
}

/** The folder that dropped files lie in, or the weights' own name. */
function nameOf(files: readonly NamedFile[], folder: string | null): string {
  const weights = files.find(([name]) => name.endsWith('.safetensors'))?.[0];
  return folder ?? weights?.replace(/\.safetensors$/, '') ?? 'adapter';
}

export async function addAdapter(
  files: readonly NamedFile[],
  folder: string | null,
): Promise<void> {
  const added = await attempt(() => engine.addAdapter(nameOf(files, folder), files));
  if (!added) return;
  addVoice(added);
  choose(added.name);
  tell(() => words.value.chat.added(added.name));
}
