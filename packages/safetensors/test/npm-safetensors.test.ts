import npm from 'safetensors';
import { expect, test } from 'vitest';
import { fromFloat32, toFloat32, writeSafetensors } from '../src/index.js';

test('the npm package `safetensors` reads what this one writes', () => {
  const values = new Float32Array([1.5, -2, 65504, 2 ** -24]);
  const bytes = writeSafetensors({
    'a.weight': { dtype: 'F32', shape: [2, 2], data: values },
    'b.weight': { dtype: 'F16', shape: [4], data: fromFloat32(values, 'F16') },
    codes: { dtype: 'U8', shape: [3], data: new Uint8Array([1, 2, 3]) },
  });
  const file = new npm.SafeTensor(bytes);
  expect([...file.metadata.keys()]).toEqual(['a.weight', 'b.weight', 'codes']);
  expect(file.metadata.get('a.weight')).toMatchObject({ dtype: 'F32', shape: [2, 2] });
  expect(toFloat32(file.getTensor('a.weight'), 'F32')).toEqual(values);
  expect(toFloat32(file.getTensor('b.weight'), 'F16')).toEqual(values);
  expect(file.getTensor('codes')).toEqual(new Uint8Array([1, 2, 3]));
});
