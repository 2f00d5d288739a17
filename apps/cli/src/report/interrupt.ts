/** Ctrl-C, and what a second one does. */
export interface Interrupt {
  readonly signal: AbortSignal;
  /** Stops listening. */
  dispose(): void;
}

/**
 * The first Ctrl-C (or SIGTERM) aborts the signal; the next ends the process.
 *
 * While a long operation holds the thread no handler can run, so after the first one ours gives way
 * to the system's: a second Ctrl-C then ends the process even there. Files are always written
 * beside their place, so that nothing half-written can stay under its name.
 *
 * @param notice told at the first one
 */
export function onInterrupt(notice: () => void): Interrupt {
  const controller = new AbortController();
  const signals = ['SIGINT', 'SIGTERM'] as const;
  const dispose = () => {
    for (const each of signals) process.off(each, handler);
  };
  const handler = () => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort();
    notice();
    setImmediate(dispose); // not at once: two that came together are both ours
  };
  for (const each of signals) process.on(each, handler);
  return { signal: controller.signal, dispose };
}
