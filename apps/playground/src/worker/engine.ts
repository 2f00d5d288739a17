import { QLoraError } from '@qlorajs/errors';
import {
  addedIds,
  type GenerationSettings,
  loraConfig,
  maxSeqLength,
  measureRate,
  planTraining,
  secondsOf,
} from '@qlorajs/session';
import { zipSync } from 'fflate';
import type {
  BackendChoice,
  BaseChoice,
  EngineApi,
  EngineEvent,
  NamedFile,
  PlanReport,
  RunInfo,
  RunOptions,
  VoiceInfo,
} from '../protocol.js';
import { plain } from '../rpc.js';
import { Bench, type Reports, voiceInfo } from './bench.js';
import { prepareBatches, previewOf, type ReadData, readData } from './dataset.js';
import * as inspect from './inspect.js';
import { keptBases, removeKeptBase } from './kept-bases.js';
import { holdRun, RunStore, type StoredRun } from './run-store.js';
import { Talk } from './talk.js';
import { newestCheckpoint, TrainingRun } from './training-run.js';

/** Everything that the page asks of its worker. */
export class Engine implements EngineApi {
  readonly #bench: Bench;
  readonly #talk: Talk;
  readonly #send: (event: EngineEvent) => void;
  readonly #reports: Reports;
  #loading: AbortController | null = null;
  #data: ReadData | null = null;
  #run: TrainingRun | null = null;
  #rate: number | null = null;

  constructor(site: string, send: (event: EngineEvent) => void) {
    this.#send = send;
    this.#reports = {
      warn: (text) => send({ type: 'warning', text }),
      progress: (what, share, done, total) => send({ type: 'progress', what, share, done, total }),
      planned: (name, plan) => send({ type: 'planned', name, plan }),
      failed: (error) => send({ type: 'failed', error: plain(error) }),
    };
    this.#bench = new Bench(site, this.#reports);
    this.#talk = new Talk(this.#bench, (slot, text) => send({ type: 'text', slot, text }));
  }

  /** @throws QLoraError `BUSY` while a run computes */
  #idle(): void {
    if (!this.#run || this.#run.isPaused) return;
    throw new QLoraError('BUSY', 'the engine is training; pause the run first', {
      kind: 'runtime',
    });
  }

  open(backend: BackendChoice) {
    this.#rate = null;
    return this.#bench.open(backend);
  }

  async loadBase(choice: BaseChoice) {
    if (this.#run) throw new QLoraError('BUSY', 'a run uses the model; cancel it first');
    if (this.#loading) throw new QLoraError('BUSY', 'a model is being loaded; stop that first');
    const loading = new AbortController();
    this.#loading = loading;
    try {
      const base = await this.#bench.loadBase(choice, loading.signal, () => {
        this.#talk.reset();
        this.#data = null;
        this.#rate = null;
      });
      return { base, voices: this.#voices() };
    } finally {
      this.#loading = null;
    }
  }

  stopLoading() {
    this.#loading?.abort(
      new QLoraError('LOADING_STOPPED', 'loading was stopped; what came of a download is kept', {
        kind: 'runtime',
      }),
    );
  }

  #voices(): VoiceInfo[] {
    return [...this.#bench.voices.values()].map(voiceInfo);
  }

  loaded() {
    return { base: this.#bench.info, voices: this.#voices() };
  }

  addShipped(name: string) {
    return this.#bench.addShipped(name);
  }

  addAdapter(name: string, files: readonly NamedFile[]) {
    return this.#bench.addAdapter(name, files);
  }

  async say(voice: string, text: string, settings: GenerationSettings) {
    this.#idle();
    return this.#talk.say(voice, text, settings);
  }

  async compare(voices: readonly string[], text: string, settings: GenerationSettings) {
    this.#idle();
    return this.#talk.compare(voices, text, settings);
  }

  stop() {
    this.#talk.stop();
  }

  reset() {
    this.#talk.reset();
  }

  async checkData(name: string, file: Blob, options: RunOptions) {
    const bytes = new Uint8Array(await file.arrayBuffer());
    this.#data = await readData(this.#bench, name, bytes, options);
    return this.#data.report;
  }

  /** The dropped file, read again where options change what it becomes. */
  async #dataFor(options: RunOptions): Promise<ReadData> {
    if (!this.#data) throw new QLoraError('NO_DATA', 'no data file is open; drop one first');
    const { name, bytes } = this.#data;
    this.#data = await readData(this.#bench, name, bytes, options);
    return this.#data;
  }

  async preview(line: number) {
    if (!this.#data) throw new QLoraError('NO_DATA', 'no data file is open; drop one first');
    return previewOf(this.#data, line);
  }

  async plan(options: RunOptions): Promise<PlanReport> {
    this.#idle();
    const { base } = this.#bench.loaded;
    const { backend } = this.#bench;
    const data = prepareBatches(this.#bench, await this.#dataFor(options), options);
    const lora = loraConfig(options, base, addedIds(data), this.#reports);
    const plan = await planTraining({
      ...{ options, config: base.config, lora, backend, data },
      length: maxSeqLength(options.maxSeqLength, base),
    });
    this.#rate ??= await measureRate(backend, base.config);
    const { fits, peakBytes, budgetBytes, parts, steps, changes } = plan;
    const seconds = secondsOf(plan, this.#rate);
    return { fits, peakBytes, budgetBytes, parts, steps, seconds, changes };
  }

  async train(options: RunOptions): Promise<RunInfo> {
    this.#expectNoRun();
    const data = await this.#dataFor(options);
    prepareBatches(this.#bench, data, options);
    const created = Date.now();
    const id = new Date(created).toISOString().replaceAll(/[:.]/g, '-').replace('Z', '');
    const store = await RunStore.open(id);
    const info: StoredRun = {
      ...{ id, name: options.out, base: this.#bench.loaded.base.name, dataName: data.name },
      ...{ status: 'running', step: 0, totalSteps: 0, savedStep: 0, created, options },
    };
    await store.writeData(data.bytes);
    await store.writeInfo(info);
    return this.#begin(store, info, data);
  }

  #expectNoRun(): void {
    if (this.#run) throw new QLoraError('BUSY', 'a run is under way; cancel or finish it first');
  }

  /** Starts or goes on with a run; how it ends is told in events. */
  async #begin(store: RunStore, info: StoredRun, data: ReadData): Promise<RunInfo> {
    const release = await holdRun(store.id);
    const from = await newestCheckpoint(store).catch((error: unknown) => {
      release();
      throw error;
    });
    const step = from?.step ?? 0;
    const { records, evaluations, samples } = await store.trace();
    const upTo = <T extends { readonly step: number }>(all: readonly T[]) =>
      all.filter((each) => each.step <= step);
    const trace = {
      ...{ records: upTo(records), samples: upTo(samples) },
      evaluations: evaluations.filter((each) => each.step <= step),
    };
    const parts = { bench: this.#bench, store, data, send: this.#send, notices: this.#reports };
    const run = new TrainingRun(parts, { ...info, step, status: 'running' }, trace);
    this.#run = run;
    const ended = (status: RunInfo['status']) => {
      this.#run = null;
      release();
      this.#send({ type: 'run', run: { ...run.info, status } });
    };
    run.work(from?.state ?? null, step).then(ended, async (error: Error) => {
      await store.writeInfo({ ...info, ...run.info, status: 'failed' }).catch(() => {});
      this.#reports.failed(error);
      ended('failed');
    });
    return run.info;
  }

  pause() {
    this.#run?.pause();
  }

  resume() {
    this.#talk.stop();
    this.#run?.resume();
  }

  cancel() {
    this.#talk.stop();
    this.#run?.cancel();
  }

  async #infoOf(store: RunStore): Promise<StoredRun[]> {
    const info = await store.info();
    if (!info) return [];
    const isAlive = this.#run?.info.id === info.id;
    const savedStep = (await store.checkpointSteps()).at(-1) ?? 0;
    const wasCut = !isAlive && (info.status === 'running' || info.status === 'paused');
    return [{ ...info, savedStep, ...(wasCut && { status: 'interrupted', step: savedStep }) }];
  }

  async runs(): Promise<RunInfo[]> {
    const stores = await RunStore.all();
    const all = await Promise.all(stores.map((store) => this.#infoOf(store)));
    return all.flat().map(({ options: _, ...info }) => info);
  }

  async #stored(id: string): Promise<{ store: RunStore; info: StoredRun }> {
    const store = await RunStore.open(id);
    const [info] = await this.#infoOf(store);
    if (!info) throw new QLoraError('RUN_MISSING', `there is no run ${id}`);
    return { store, info };
  }

  async run(id: string) {
    const { store, info } = await this.#stored(id);
    return { ...info, ...(await store.trace()) };
  }

  async resumeRun(id: string): Promise<RunInfo> {
    this.#expectNoRun();
    const { store, info } = await this.#stored(id);
    const { name } = this.#bench.loaded.base;
    if (info.base !== name)
      throw new QLoraError('RUN_BASE', `this run trains ${info.base}; load that model first`, {
        details: { base: info.base },
      });
    const data = await readData(this.#bench, info.dataName, await store.data(), info.options);
    this.#data = data;
    return this.#begin(store, info, data);
  }

  async deleteRun(id: string): Promise<void> {
    if (this.#run?.info.id === id) throw new QLoraError('BUSY', 'this run is under way');
    const release = await holdRun(id);
    await RunStore.remove(id).finally(release);
  }

  async useRun(id: string) {
    const { store, info } = await this.#stored(id);
    const known = this.#bench.voices.get(info.name);
    if (known) return voiceInfo(known);
    return this.#bench.addFolder(info.name, await store.adapter());
  }

  async download(id: string): Promise<Blob> {
    const { store, info } = await this.#stored(id);
    const files = await store.adapterFiles();
    const named = Object.entries(files).map(([file, bytes]) => [`${info.name}/${file}`, bytes]);
    return new Blob([zipSync(Object.fromEntries(named), { level: 6 }) as Uint8Array<ArrayBuffer>], {
      type: 'application/zip',
    });
  }

  async tokenize(voice: string, text: string) {
    return inspect.tokenize(this.#bench.voice(voice), text);
  }

  async render(voice: string, messages: readonly { role: string; content: string }[]) {
    return inspect.render(this.#bench.voice(voice), this.#bench.loaded.base, messages);
  }

  async matrices() {
    return inspect.matrices(this.#bench.loaded);
  }

  async nf4(name: string) {
    return inspect.nf4(this.#bench.loaded, name);
  }

  async lora(voice: string) {
    return inspect.lora(this.#bench.voice(voice));
  }

  async storage() {
    const { usage = 0, quota = 0 } = await navigator.storage.estimate();
    return { usedBytes: usage, quotaBytes: quota, kept: await keptBases() };
  }

  removeKept(name: string) {
    return removeKeptBase(name);
  }
}
