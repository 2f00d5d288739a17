import { readFileSync } from 'node:fs';

/** The bytes of a file in `fixtures/`. */
export function fixtureBytes(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`../fixtures/${name}`, import.meta.url)));
}

/** Little-endian f32 values of bytes. */
export function floatsOf(bytes: Uint8Array): Float32Array {
  return new Float32Array(bytes.slice().buffer);
}

export function fixtureFloats(name: string): Float32Array {
  return floatsOf(fixtureBytes(name));
}

export function fixtureJson<T>(name: string): T {
  return JSON.parse(new TextDecoder().decode(fixtureBytes(name))) as T;
}

/** Bytes of a base64 text. */
export function decode(base64: string): Uint8Array {
  return new Uint8Array(Buffer.from(base64, 'base64'));
}

/** f32 values as their bit patterns, so that 0 and -0 differ. */
export function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.slice().buffer);
}

/** A tensor quantized by bitsandbytes: see `tools/reference/bnb_nf4_golden.py`. */
export interface GoldenCase {
  readonly name: string;
  readonly dtype: 'float32' | 'float16' | 'bfloat16';
  readonly shape: number[];
  readonly blockSize: number;
  readonly doubleQuant: boolean;
  readonly weight: string;
  readonly codes: string;
  readonly absmax: string;
  readonly nestedAbsmax: string | null;
  readonly quantState: string;
  readonly dequantized: string;
}

export interface Golden {
  readonly cases: GoldenCase[];
  readonly blockwise: { signed: boolean; values: string; codes: string; absmax: string }[];
  readonly means: [count: number, mean: number][];
  readonly pythonFloats: [hex: string, repr: string][];
  readonly quantizationConfig: Record<string, unknown>;
}

export const golden = fixtureJson<Golden>('bitsandbytes-cpu.json');
