/**
 * Lets whatever waits in the event loop have its turn: Ctrl-C in Node, messages in a worker, where a
 * timer would be held back to 4 ms.
 */
export function turn(): Promise<void> {
  const { setImmediate } = globalThis as { setImmediate?: (work: () => void) => void };
  if (setImmediate) return new Promise((resolve) => setImmediate(resolve));
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    const done = () => {
      port1.close();
      resolve();
    };
    Object.assign(port1, { onmessage: done });
    port2.postMessage(null);
  });
}
