import { expect, test } from 'vitest';
import { strftime, templateGlobals } from './globals.js';

test('strftime writes English names whatever the locale', () => {
  const date = new Date(2024, 0, 5, 0, 7, 9);
  expect(strftime(date, '%d %b %Y, %A %a %B %H:%M:%S %I %p %y %m 100%%')).toBe(
    '05 Jan 2024, Friday Fri January 00:07:09 12 AM 24 01 100%',
  );
  expect(() => strftime(date, '%Q')).toThrow('%Q');
});

test('range counts as Python does', () => {
  const range = templateGlobals().range as (...numbers: number[]) => number[];
  expect(range(3)).toEqual([0, 1, 2]);
  expect(range(5, 0, -2)).toEqual([5, 3, 1]);
  expect(range(2, 7, 2)).toEqual([2, 4, 6]);
  expect(range(3, 3)).toEqual([]);
  expect(range(0, 100_000)).toHaveLength(100_000);
  expect(() => range(0, 100_001)).toThrow('100000');
  expect(() => range(0, 1, 0)).toThrow('zero');
});
