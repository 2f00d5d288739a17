import {
  type Backend,
  type LinearArgs,
  type LinearBackwardArgs,
  type MatmulArgs,
  OP_NAMES,
  type Ops,
} from '@qlorajs/compute';

/** Calls of one operation on one shape. */
export interface OpTime {
  readonly op: string;
  calls: number;
  ms: number;
  /** Floating-point operations of the products; 0 for the others. */
  flop: number;
}

interface Product {
  readonly name: string;
  readonly flop: number;
}

function productOf(op: keyof Ops, args: unknown): Product | null {
  if (op === 'linear' || op === 'linearBackward') {
    const { weight, ...rest } = args as LinearArgs | LinearBackwardArgs;
    const [n, k] = weight.shape;
    const m = 'x' in rest ? rest.x.size / k : rest.dOut.size / n;
    const shape = op === 'linear' ? `${m}x${n}x${k}` : `${m}x${k}x${n}`;
    const kind = weight.kind === 'nf4' ? 'nf4' : weight.values.dtype;
    return { name: `${op} ${kind} ${shape}`, flop: 2 * m * n * k };
  }
  if (op === 'matmul') {
    const { m, n, k, transposeA, transposeB } = args as MatmulArgs;
    const form = `${transposeA ? 'T' : 'N'}${transposeB ? 'T' : 'N'}`;
    return { name: `matmul ${form} ${m}x${n}x${k}`, flop: 2 * m * n * k };
  }
  return null;
}

/** Times every operation of a backend whose calls return when the work is done. */
export class OpTimes {
  readonly #ops: Record<string, (args: never) => void>;
  readonly #originals = new Map<string, (args: never) => void>();
  readonly #times = new Map<string, OpTime>();

  constructor(backend: Backend) {
    this.#ops = backend.ops as unknown as Record<string, (args: never) => void>;
    for (const op of OP_NAMES) {
      const original = this.#ops[op];
      this.#originals.set(op, original);
      this.#ops[op] = (args) => {
        const start = performance.now();
        original(args);
        this.#add(op, args, performance.now() - start);
      };
    }
  }

  #add(op: keyof Ops, args: unknown, ms: number): void {
    const product = productOf(op, args);
    const name = product?.name ?? op;
    const entry = this.#times.get(name) ?? { op: name, calls: 0, ms: 0, flop: 0 };
    entry.calls++;
    entry.ms += ms;
    entry.flop += product?.flop ?? 0;
    this.#times.set(name, entry);
  }

  /** Puts the operations back; the slowest first. */
  stop(): OpTime[] {
    for (const [op, original] of this.#originals) this.#ops[op] = original;
    return [...this.#times.values()].sort((a, b) => b.ms - a.ms);
  }
}
