import type { Segment } from '@qlorajs/dataset';
import type {
  GenerationSettings,
  HistoryEntry,
  LoadingPlan,
  StepRecord,
  TrainingOptions,
} from '@qlorajs/session';
import type { PlainError } from './rpc.js';

/** What `?backend=` may say; `wasm1` is the CPU engine on one thread. */
export const BACKENDS = ['auto', 'webgpu', 'wasm', 'wasm1', 'gpujs'] as const;
export type BackendChoice = (typeof BACKENDS)[number];

/** An engine that was tried. */
export interface TriedEngine {
  readonly name: string;
  /** Why it does not start; null: it is the one in use. */
  readonly refused: PlainError | null;
}

export interface EngineInfo {
  readonly name: string;
  /** The address names it; else it is the first of the order that starts. */
  readonly isAsked: boolean;
  readonly tried: readonly TriedEngine[];
  readonly info: Readonly<Record<string, unknown>>;
  /** What the browser gives. */
  readonly features: Readonly<Record<string, string | number | boolean>>;
}

/** Where a base comes from. */
export type BaseChoice =
  | { readonly kind: 'phi-nano' }
  | { readonly kind: 'files'; readonly name: string; readonly files: readonly NamedFile[] }
  | { readonly kind: 'url'; readonly url: string }
  | { readonly kind: 'kept'; readonly name: string };

export type NamedFile = readonly [name: string, file: Blob];

export interface BaseInfo {
  readonly name: string;
  readonly layers: number;
  readonly hiddenSize: number;
  readonly context: number;
  readonly bytes: number;
  readonly quantized: number;
  readonly seconds: number;
}

export interface VoiceInfo {
  readonly name: string;
  /** null: the base. */
  readonly rank: number | null;
  readonly systemPrompt: string | null;
}

export interface Said {
  readonly voice: string;
  readonly text: string;
  readonly tokens: number;
  readonly tokensPerSecond: number;
  readonly reason: string;
  readonly forgotten: number;
}

/** What a dropped file holds. */
export interface DataReport {
  readonly name: string;
  readonly rows: number;
  readonly errors: readonly {
    readonly line: number;
    readonly message: string;
    readonly code: string;
    readonly source: string;
  }[];
  readonly tokens: number;
  readonly trainedTokens: number;
  readonly longest: number;
  readonly limit: number;
  readonly lines: readonly number[];
}

export interface Preview {
  readonly line: number;
  readonly tokens: number;
  readonly trained: number;
  readonly segments: readonly Segment[];
}

export interface PlanReport {
  readonly fits: boolean;
  readonly peakBytes: number;
  readonly budgetBytes: number | null;
  readonly parts: Readonly<Record<string, number>>;
  readonly steps: number;
  readonly seconds: number;
  readonly changes: readonly {
    readonly text: string;
    readonly options: Partial<TrainingOptions>;
  }[];
}

/** Options of the page beside those of the command. */
export interface RunOptions extends TrainingOptions {
  /** A sample every so many steps; 0: none. */
  readonly sampleSteps: number;
  readonly samplePrompt: string;
}

export type RunStatus = 'running' | 'paused' | 'interrupted' | 'cancelled' | 'failed' | 'done';

export interface RunInfo {
  readonly id: string;
  readonly name: string;
  readonly base: string;
  readonly dataName: string;
  readonly status: RunStatus;
  readonly step: number;
  readonly totalSteps: number;
  /** The newest checkpoint; 0: none. */
  readonly savedStep: number;
  readonly created: number;
}

export interface Sample {
  readonly step: number;
  readonly text: string;
}

interface RunDetail extends RunInfo {
  readonly options: RunOptions;
  readonly records: readonly StepRecord[];
  readonly evaluations: readonly HistoryEntry[];
  readonly samples: readonly Sample[];
}

/** How far something is. */
export interface Progress {
  readonly what: string;
  readonly share: number;
  /** Bytes that are there, of how many, where they are counted. */
  readonly done?: number;
  readonly total?: number;
}

export type EngineEvent =
  | ({ readonly type: 'progress' } & Progress)
  | { readonly type: 'planned'; readonly name: string; readonly plan: LoadingPlan }
  | { readonly type: 'failed'; readonly error: PlainError }
  | { readonly type: 'text'; readonly slot: string; readonly text: string }
  | { readonly type: 'warning'; readonly text: string }
  | { readonly type: 'run'; readonly run: RunInfo }
  | {
      readonly type: 'step';
      readonly record: StepRecord;
      readonly secondsLeft: number;
      readonly run: RunInfo;
    }
  | { readonly type: 'evaluation'; readonly entry: HistoryEntry }
  | { readonly type: 'sample'; readonly sample: Sample };

export interface TokenPiece {
  readonly id: number;
  readonly text: string;
  readonly special: boolean;
}

export interface Rendered {
  readonly template: string;
  readonly text: string;
  readonly pieces: readonly (TokenPiece & { readonly trained: boolean })[];
  readonly stopIds: readonly number[];
}

export interface Nf4Report {
  readonly name: string;
  readonly shape: readonly number[];
  readonly histogram: {
    readonly from: number;
    readonly to: number;
    readonly counts: readonly number[];
  };
  readonly codes: readonly { readonly value: number; readonly count: number }[];
  /** Mean |error| of tiles, row by row. */
  readonly errorMap: {
    readonly rows: number;
    readonly columns: number;
    readonly values: readonly number[];
  };
  readonly meanError: number;
  readonly maxError: number;
  readonly bitsPlain: number;
  readonly bitsDouble: number;
  readonly meanErrorDouble: number;
}

export interface LoraLayerReport {
  readonly name: string;
  readonly rank: number;
  /** Frobenius norm of scaling * B A. */
  readonly norm: number;
  /** Singular values of scaling * B A, largest first. */
  readonly spectrum: readonly number[];
}

export interface StorageReport {
  readonly usedBytes: number;
  readonly quotaBytes: number;
  readonly kept: readonly { readonly name: string; readonly bytes: number }[];
}

/** What the worker does for the page. */
export interface EngineApi {
  open(backend: BackendChoice): Promise<EngineInfo>;
  loadBase(choice: BaseChoice): Promise<{ base: BaseInfo; voices: VoiceInfo[] }>;
  /** Ends loading, with what came of a download kept. */
  stopLoading(): void;
  /** The base that answers now; null: none is loaded. */
  loaded(): { base: BaseInfo | null; voices: VoiceInfo[] };
  addShipped(name: string): Promise<VoiceInfo>;
  addAdapter(name: string, files: readonly NamedFile[]): Promise<VoiceInfo>;
  say(voice: string, text: string, settings: GenerationSettings): Promise<Said>;
  compare(voices: readonly string[], text: string, settings: GenerationSettings): Promise<Said[]>;
  stop(): void;
  reset(): void;
  checkData(name: string, file: Blob, options: RunOptions): Promise<DataReport>;
  preview(line: number): Promise<Preview>;
  plan(options: RunOptions): Promise<PlanReport>;
  train(options: RunOptions): Promise<RunInfo>;
  pause(): void;
  resume(): void;
  cancel(): void;
  runs(): Promise<RunInfo[]>;
  run(id: string): Promise<RunDetail>;
  resumeRun(id: string): Promise<RunInfo>;
  deleteRun(id: string): Promise<void>;
  useRun(id: string): Promise<VoiceInfo>;
  download(id: string): Promise<Blob>;
  tokenize(voice: string, text: string): Promise<TokenPiece[]>;
  render(voice: string, messages: readonly { role: string; content: string }[]): Promise<Rendered>;
  matrices(): Promise<string[]>;
  nf4(name: string): Promise<Nf4Report>;
  lora(voice: string): Promise<LoraLayerReport[]>;
  storage(): Promise<StorageReport>;
  removeKept(name: string): Promise<void>;
}
