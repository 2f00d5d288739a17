/**
 * Every dtype of the format with the smallest group of elements that fills whole bytes:
 * `[elements, bytes]`. The order is that of the Rust enum (ascending alignment); its writer
 * stores the last dtype of the list first.
 */
const GROUPS = {
  BOOL: [1, 1],
  F4: [2, 1],
  F6_E2M3: [4, 3],
  F6_E3M2: [4, 3],
  U8: [1, 1],
  I8: [1, 1],
  F8_E5M2: [1, 1],
  F8_E4M3: [1, 1],
  F8_E8M0: [1, 1],
  F8_E4M3FNUZ: [1, 1],
  F8_E5M2FNUZ: [1, 1],
  I16: [1, 2],
  U16: [1, 2],
  F16: [1, 2],
  BF16: [1, 2],
  I32: [1, 4],
  U32: [1, 4],
  F32: [1, 4],
  C64: [1, 8],
  F64: [1, 8],
  I64: [1, 8],
  U64: [1, 8],
} as const satisfies Record<string, readonly [elements: number, bytes: number]>;

/** An element type, as the header spells it. */
export type SafetensorsDtype = keyof typeof GROUPS;

/** All dtypes in the order of the Rust enum (ascending alignment). */
export const SAFETENSORS_DTYPES = Object.keys(GROUPS) as readonly SafetensorsDtype[];

const RANKS: ReadonlyMap<string, number> = new Map(
  SAFETENSORS_DTYPES.map((dtype, rank) => [dtype, rank]),
);

export function isSafetensorsDtype(text: string): text is SafetensorsDtype {
  return RANKS.has(text);
}

/** Position in the Rust enum; the writer sorts by it, descending. */
export function dtypeRank(dtype: SafetensorsDtype): number {
  return RANKS.get(dtype)!;
}

export type Measure =
  | { readonly bytes: number }
  | { readonly code: 'SAFETENSORS_OVERFLOW' | 'SAFETENSORS_MISALIGNED'; readonly problem: string };

/**
 * Bytes that a tensor of this shape takes. Products are checked from left to right as the Rust
 * reader does, so a later 0 does not excuse an overflow before it.
 */
export function measure(dtype: SafetensorsDtype, shape: readonly number[]): Measure {
  let count = 1;
  for (const size of shape) {
    count *= size;
    if (count > Number.MAX_SAFE_INTEGER) return overflow(dtype, shape);
  }
  const [elements, bytes] = GROUPS[dtype];
  if (count % elements !== 0) {
    return {
      code: 'SAFETENSORS_MISALIGNED',
      problem: `${count} elements of ${dtype} do not fill whole bytes (${elements} take ${bytes})`,
    };
  }
  const total = (count / elements) * bytes;
  return total > Number.MAX_SAFE_INTEGER ? overflow(dtype, shape) : { bytes: total };
}

function overflow(dtype: SafetensorsDtype, shape: readonly number[]): Measure {
  return {
    code: 'SAFETENSORS_OVERFLOW',
    problem: `shape ${shapeText(shape)} of ${dtype} needs more than 2^53 - 1 bytes`,
  };
}

/** `[2,3]`, cut where a hostile header lists thousands of sizes. */
export function shapeText(shape: readonly number[]): string {
  return shape.length > 16 ? `[${shape.slice(0, 16).join(',')},…]` : `[${shape.join(',')}]`;
}
