import { expect, test } from 'vitest';
import { isQLoraError, QLoraError } from './index.js';

test('carries code, kind, details and cause', () => {
  const cause = new Error('underneath');
  const error = new QLoraError('A_CODE', 'what, where, how', {
    kind: 'runtime',
    details: { line: 3 },
    cause,
  });
  expect(error).toMatchObject({ code: 'A_CODE', kind: 'runtime', details: { line: 3 }, cause });
  expect(error.message).toBe('what, where, how');
});

test('is recognised across copies of the package, and nothing else is', () => {
  expect(isQLoraError(new QLoraError('A_CODE', 'x'))).toBe(true);
  const foreign = Object.assign(new Error('x'), { [Symbol.for('qlorajs.error')]: true });
  expect(isQLoraError(foreign)).toBe(true);
  expect(isQLoraError(new Error('x'))).toBe(false);
  expect(isQLoraError(undefined)).toBe(false);
});
