/** Milliseconds of the calls themselves, without what they wait for: JavaScript's share of a step. */
export class Busy {
  milliseconds = 0;

  async run<T>(work: () => Promise<T>): Promise<T> {
    const start = performance.now();
    const pending = work();
    this.milliseconds += performance.now() - start;
    return pending;
  }
}
