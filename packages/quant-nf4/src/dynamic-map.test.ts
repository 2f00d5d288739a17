import { expect, test } from 'vitest';
import { bitsOf, fixtureFloats } from '../test/fixtures.js';
import { dynamicMap } from './dynamic-map.js';

test.each([
  ['signed', true],
  ['unsigned', false],
] as const)('the %s map is that of bitsandbytes, bit for bit', (name, signed) => {
  const map = dynamicMap(signed);
  expect(map).toHaveLength(256);
  expect(bitsOf(map)).toEqual(bitsOf(fixtureFloats(`dynamic_map_${name}.f32le.bin`)));
});

test('each call makes a map of its own', () => {
  dynamicMap(true)[0] = 9;
  expect(dynamicMap(true)[0]).toBeCloseTo(-0.99297, 5);
});
