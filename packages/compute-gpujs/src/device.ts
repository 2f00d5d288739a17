import { QLoraError } from '@qlorajs/errors';
import type { GpuJs, GpuJsConstructor } from './gpu-js.js';
import { HELPERS } from './kernel.js';

/** Where gpu.js runs: a page's WebGL2 or WebGL, headless-gl in Node, WebAssembly, or plain JavaScript. */
export const GPUJS_MODES = ['webgl2', 'webgl', 'headlessgl', 'webasm', 'cpu'] as const;

export type GpuJsMode = (typeof GPUJS_MODES)[number];

/** gpu.js on a device, and what that device allows. */
export interface Device {
  readonly gpu: GpuJs;
  readonly mode: GpuJsMode;
  /** Results are textures; else arrays. */
  readonly textures: boolean;
  /** Largest number of cells of a storage or result. */
  readonly maxCells: number;
  readonly renderer: string | null;
  isLost(): boolean;
}

/** Whole numbers up to here are exact in f32, and kernels index in f32. */
const EXACT = 2 ** 24;

const REMEDY = 'use mode webasm or cpu, or the backend wasm, which is faster than either';

/** What this package uses of a WebGL context: its types come without a page's. */
interface Gl {
  readonly MAX_TEXTURE_SIZE: number;
  readonly RENDERER: number;
  getExtension(name: string): { UNMASKED_RENDERER_WEBGL?: number; loseContext?(): void } | null;
  getParameter(name: number): unknown;
  isContextLost(): boolean;
}

interface Canvas {
  getContext(mode: string, attributes?: object): Gl | null;
}

interface Page {
  readonly OffscreenCanvas?: new (width: number, height: number) => Canvas;
  readonly document?: { createElement(name: 'canvas'): Canvas };
}

function makeCanvas(): Canvas | null {
  const { OffscreenCanvas, document } = globalThis as Page;
  if (OffscreenCanvas) return new OffscreenCanvas(1, 1);
  return document?.createElement('canvas') ?? null;
}

/** Whether this host gives WebGL2 with textures of floats to draw into. */
export function hasWebGl2(): boolean {
  const context = makeCanvas()?.getContext('webgl2');
  const found = !!context?.getExtension('EXT_color_buffer_float');
  context?.getExtension('WEBGL_lose_context')?.loseContext?.();
  return found;
}

function openContext(mode: 'webgl2' | 'webgl') {
  const canvas = makeCanvas();
  const context = canvas?.getContext(mode, { antialias: false, depth: false });
  const extension = mode === 'webgl2' ? 'EXT_color_buffer_float' : 'OES_texture_float';
  if (context?.getExtension(extension)) return { canvas, context };
  const missing = context ? `${mode} without ${extension}` : `no ${mode}`;
  throw new QLoraError('GPUJS_NO_WEBGL', `this host has ${missing}; ${REMEDY}`, {
    kind: 'runtime',
    details: { mode },
  });
}

function describe(gl: Gl): string {
  const info = gl.getExtension('WEBGL_debug_renderer_info');
  return String(gl.getParameter(info?.UNMASKED_RENDERER_WEBGL ?? gl.RENDERER));
}

/**
 * Starts gpu.js.
 * @throws QLoraError `GPUJS_NO_WEBGL`, `GPUJS_START`
 */
export function openDevice(GPU: GpuJsConstructor, mode: GpuJsMode): Device {
  const page = mode === 'webgl2' || mode === 'webgl' ? openContext(mode) : null;
  let gpu: GpuJs;
  try {
    const Gpu = GPU as unknown as new (settings: object) => GpuJs;
    gpu = new Gpu({ mode, ...page });
    for (const { source, settings } of HELPERS) gpu.addFunction(source, settings);
  } catch (cause) {
    throw new QLoraError(
      'GPUJS_START',
      `gpu.js does not start in mode ${mode}: ${(cause as Error).message}; ${REMEDY}`,
      { kind: 'runtime', details: { mode }, cause },
    );
  }
  const side = page ? (page.context.getParameter(page.context.MAX_TEXTURE_SIZE) as number) : 4096;
  return {
    gpu,
    mode,
    textures: mode !== 'cpu' && mode !== 'webasm',
    maxCells: mode === 'cpu' ? 2 ** 31 : Math.min(EXACT, side * side),
    renderer: page ? describe(page.context) : null,
    isLost: () => page?.context.isContextLost() ?? false,
  };
}
