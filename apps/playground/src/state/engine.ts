import { signal } from '@preact/signals';
import type { LoadingPlan } from '@qlorajs/session';
import {
  BACKENDS,
  type BackendChoice,
  type BaseChoice,
  type BaseInfo,
  type EngineApi,
  type EngineEvent,
  type EngineInfo,
  type Progress,
  type VoiceInfo,
} from '../protocol.js';
import { connect, type PlainError } from '../rpc.js';
import { explain } from '../text/explain.js';
import { language, words } from '../text/index.js';

type Listener = (event: EngineEvent) => void;
const listeners = new Set<Listener>();

/** Hears what the worker tells. */
export function onEngine(listener: Listener): void {
  listeners.add(listener);
}

const worker = new Worker(new URL('../worker/worker.ts', import.meta.url), {
  type: 'module',
  name: document.baseURI,
});

/** The worker: every method is a promise. */
export const engine = connect<EngineApi, EngineEvent>(worker, (event) => {
  for (const listener of listeners) listener(event);
});

export const engineInfo = signal<EngineInfo | null>(null);
export const baseInfo = signal<BaseInfo | null>(null);
export const voices = signal<readonly VoiceInfo[]>([]);
/** What is being loaded, and how much of it is there; null: nothing. */
export const progress = signal<Progress | null>(null);
/** Whether a reader may stop what is being loaded. */
export const isStoppable = signal(false);
/** What the base that is loaded, or being loaded, takes. */
export const planned = signal<{ readonly name: string; readonly plan: LoadingPlan } | null>(null);

/** A message on top of the page. */
export interface Notice {
  readonly id: number;
  readonly kind: 'error' | 'info';
  /** In the language that the page has then. */
  readonly text: () => string;
  readonly detail: string | null;
}

export const notices = signal<readonly Notice[]>([]);
let lastNotice = 0;

export function tell(
  text: () => string,
  kind: Notice['kind'] = 'info',
  detail: string | null = null,
) {
  const notice = { id: ++lastNotice, kind, text, detail };
  notices.value = [...notices.value.filter((each) => each.text() !== text()), notice].slice(-4);
}

export function dismiss(id: number): void {
  notices.value = notices.value.filter((each) => each.id !== id);
}

/** Says what went wrong in a student's words, with the full message beside them. */
function tellError(error: unknown): void {
  const { code = 'UNEXPECTED', message, details = {} } = error as Partial<PlainError> & Error;
  tell(() => explain(code, details, language.value), 'error', `${message} [${code}]`);
}

/** Runs work whose failure is told; returns null then. */
export async function attempt<T>(work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    tellError(error);
    return null;
  }
}

onEngine((event) => {
  if (event.type === 'progress') progress.value = event;
  if (event.type === 'planned') planned.value = event;
  if (event.type === 'failed') tellError(event.error);
  if (event.type === 'warning') tell(() => words.value.errors.warning, 'info', event.text);
});

worker.addEventListener('error', ({ message }) => tellError({ message }));

function askedBackend(): BackendChoice {
  const asked = new URLSearchParams(location.search).get('backend');
  return BACKENDS.find((each) => each === asked) ?? 'auto';
}

/** The personalities that come with the page. */
const SHIPPED = ['tutor', 'sql', 'stories'] as const;

export async function loadBase(choice: BaseChoice): Promise<void> {
  progress.value = { what: 'loading', share: 0 };
  isStoppable.value = choice.kind !== 'phi-nano';
  const loaded = await attempt(() => engine.loadBase(choice));
  progress.value = null;
  if (!loaded) {
    // It may have taken the one before it along.
    const left = await engine.loaded();
    baseInfo.value = left.base;
    voices.value = left.voices;
    return;
  }
  baseInfo.value = loaded.base;
  voices.value = loaded.voices;
  if (choice.kind !== 'phi-nano') return;
  for (const name of SHIPPED) {
    const voice = await attempt(() => engine.addShipped(name));
    if (voice) addVoice(voice);
  }
}

export function addVoice(voice: VoiceInfo): void {
  voices.value = [...voices.value.filter(({ name }) => name !== voice.name), voice];
}

/** Opens the engine that the address asks for, and phi-nano on it. */
export async function start(): Promise<void> {
  progress.value = { what: 'engine', share: 0 };
  engineInfo.value = await attempt(() => engine.open(askedBackend()));
  progress.value = null;
  if (engineInfo.value) await loadBase({ kind: 'phi-nano' });
}
