import { batch, computed, effect, signal, untracked } from '@preact/signals';
import {
  type HistoryEntry,
  type StepRecord,
  trainingOptions,
  withDefaults,
} from '@qlorajs/session';
import type {
  DataReport,
  EngineEvent,
  PlanReport,
  Preview,
  RunInfo,
  RunOptions,
  Sample,
} from '../protocol.js';
import { words } from '../text/index.js';
import { addVoice, attempt, baseInfo, engine, onEngine } from './engine.js';
import { saveFile } from './files.js';

const DEFAULTS: RunOptions = {
  ...withDefaults(trainingOptions, {
    base: 'phi-nano',
    data: '',
    out: words.value.train.defaultName,
    perDeviceTrainBatchSize: 2,
    learningRate: 1e-3,
    numTrainEpochs: 3,
    saveSteps: 1,
    truncation: 'drop',
  }),
  sampleSteps: 10,
  samplePrompt: '¿Qué es una cola?',
};

export const options = signal<RunOptions>(DEFAULTS);
export const report = signal<DataReport | null>(null);
export const preview = signal<Preview | null>(null);
export const plan = signal<PlanReport | null>(null);
/** The run that is shown. */
export const run = signal<RunInfo | null>(null);
export const records = signal<readonly StepRecord[]>([]);
export const evaluations = signal<readonly HistoryEntry[]>([]);
export const samples = signal<readonly Sample[]>([]);
export const secondsLeft = signal<number | null>(null);
export const runs = signal<readonly RunInfo[]>([]);
export const isActive = computed(
  () => run.value?.status === 'running' || run.value?.status === 'paused',
);

export function setOption<K extends keyof RunOptions>(key: K, value: RunOptions[K]): void {
  options.value = { ...options.value, [key]: value };
  plan.value = null;
}

function forgetData(): void {
  report.value = null;
  preview.value = null;
  plan.value = null;
}

// Another model reads a file otherwise, or not at all.
effect(() => {
  if (baseInfo.value !== undefined) untracked(forgetData);
});

export async function openData(name: string, file: Blob): Promise<void> {
  forgetData();
  report.value = await attempt(() => engine.checkData(name, file, options.value));
  const first = report.value?.lines[0];
  if (first !== undefined) await showRow(first);
}

export async function showRow(line: number): Promise<void> {
  preview.value = await attempt(() => engine.preview(line));
}

export async function makePlan(): Promise<void> {
  plan.value = await attempt(() => engine.plan(options.value));
}

export async function refreshRuns(): Promise<void> {
  runs.value = (await attempt(() => engine.runs())) ?? [];
}

function show(shown: RunInfo): void {
  run.value = shown;
  secondsLeft.value = null;
}

export async function startRun(): Promise<void> {
  records.value = [];
  evaluations.value = [];
  samples.value = [];
  // Asks the browser not to make room by deleting what is kept here.
  void navigator.storage?.persist?.();
  const started = await attempt(() => engine.train(options.value));
  if (started) show(started);
  await refreshRuns();
}

export async function goOn(id: string): Promise<void> {
  const detail = await attempt(() => engine.run(id));
  if (!detail) return;
  const upTo = <T extends { readonly step: number }>(all: readonly T[]) =>
    all.filter(({ step }) => step <= detail.savedStep);
  records.value = upTo(detail.records);
  samples.value = upTo(detail.samples);
  evaluations.value = detail.evaluations.filter(({ step }) => step <= detail.savedStep);
  options.value = detail.options;
  const resumed = await attempt(() => engine.resumeRun(id));
  if (resumed) show(resumed);
  await refreshRuns();
}

export async function removeRun(id: string): Promise<void> {
  await attempt(() => engine.deleteRun(id));
  if (run.value?.id === id) run.value = null;
  await refreshRuns();
}

export async function download({ id, name }: RunInfo): Promise<void> {
  const zip = await attempt(() => engine.download(id));
  if (zip) saveFile(zip, `${name}.zip`);
}

/** Makes a finished run's adapter a voice of the chat; returns its name. */
export async function useRun({ id }: RunInfo): Promise<string | null> {
  const voice = await attempt(() => engine.useRun(id));
  if (voice) addVoice(voice);
  return voice?.name ?? null;
}

/** Milliseconds between two drawings: a small model takes more steps a second than eyes do. */
const REDRAW = 200;
const waiting: Extract<EngineEvent, { type: 'step' }>[] = [];

/** Shows the steps that came since the last time. */
function takeSteps(): void {
  const last = waiting.at(-1);
  if (!last) return;
  const steps = waiting.splice(0).map(({ record }) => record);
  batch(() => {
    run.value = last.run;
    records.value = [...records.value, ...steps];
    secondsLeft.value = last.secondsLeft;
  });
}

onEngine((event) => {
  if (event.type === 'run') {
    takeSteps();
    run.value = event.run;
    const isOver = event.run.status !== 'running';
    if (isOver) secondsLeft.value = null;
    if (isOver) void refreshRuns();
  }
  if (event.type === 'step') {
    waiting.push(event);
    if (waiting.length === 1) setTimeout(takeSteps, REDRAW);
  }
  if (event.type === 'evaluation') evaluations.value = [...evaluations.value, event.entry];
  if (event.type === 'sample') samples.value = [...samples.value, event.sample];
});
