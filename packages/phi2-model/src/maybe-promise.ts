/** Something that is there, or will be. */
export type MaybePromise<T> = T | Promise<T>;

/**
 * `next` of a value, at once where it is there: a pass whose weights are all on the device is recorded
 * without a turn of the event loop in which another could take its buffers.
 */
export function after<T, U>(
  value: MaybePromise<T>,
  next: (value: T) => MaybePromise<U>,
): MaybePromise<U> {
  return value instanceof Promise ? value.then(next) : next(value);
}
