/** What crosses between the page and its worker: plain data, so that it can be cloned. */
type Call = { readonly id: number; readonly method: string; readonly args: readonly unknown[] };

/** An error as data: `code` and `details` of a QLoraError survive the crossing. */
export interface PlainError {
  readonly code: string;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

type Reply =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: PlainError }
  | { readonly event: unknown };

/** Every method asynchronous. */
export type Remote<T> = {
  readonly [K in keyof T]: T[K] extends (...args: infer A) => infer R
    ? (...args: A) => Promise<Awaited<R>>
    : never;
};

/** Thrown here for what was thrown there. */
class RemoteError extends Error implements PlainError {
  readonly code: string;
  readonly details: Readonly<Record<string, unknown>>;

  constructor({ code, message, details }: PlainError) {
    super(message);
    this.name = 'RemoteError';
    this.code = code;
    this.details = details;
  }
}

interface Port {
  postMessage(message: unknown): void;
  addEventListener(type: 'message', listener: (event: MessageEvent) => void): void;
}

/** An error as data. */
export function plain(error: unknown): PlainError {
  const { code, message, details } = error as Partial<PlainError>;
  return {
    code: typeof code === 'string' ? code : 'UNEXPECTED',
    message: message ?? String(error),
    // Details may hold what cannot be cloned.
    details: JSON.parse(JSON.stringify(details ?? {})) as PlainError['details'],
  };
}

/** Answers calls with the methods of `target`; returns how to send events. */
export function serve<E>(port: Port, target: object): (event: E) => void {
  port.addEventListener('message', async ({ data }: MessageEvent<Call>) => {
    const { id, method, args } = data;
    try {
      const work = (target as Record<string, (...args: unknown[]) => unknown>)[method];
      if (typeof work !== 'function') throw new Error(`there is no method ${method}`);
      port.postMessage({ id, value: await work.apply(target, [...args]) } satisfies Reply);
    } catch (error) {
      port.postMessage({ id, error: plain(error) } satisfies Reply);
    }
  });
  return (event) => port.postMessage({ event } satisfies Reply);
}

/** Calls methods on the other side. */
export function connect<T, E>(port: Port, onEvent: (event: E) => void): Remote<T> {
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  let last = 0;
  port.addEventListener('message', ({ data }: MessageEvent<Reply>) => {
    if ('event' in data) {
      onEvent(data.event as E);
      return;
    }
    const call = waiting.get(data.id);
    waiting.delete(data.id);
    if ('error' in data) call?.reject(new RemoteError(data.error));
    else call?.resolve(data.value);
  });
  const call = (method: string, args: readonly unknown[]) =>
    new Promise<unknown>((resolve, reject) => {
      const id = ++last;
      waiting.set(id, { resolve, reject });
      port.postMessage({ id, method, args } satisfies Call);
    });
  return new Proxy({} as Remote<T>, {
    get: (_, method: string) =>
      method === 'then' ? undefined : (...args: unknown[]) => call(method, args),
  });
}
