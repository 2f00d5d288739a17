/**
 * Eigenvalues and eigenvectors of a symmetric matrix by Jacobi's rotations (Golub and Van Loan, 8.5).
 * @param matrix `[n, n]`, row by row
 * @returns values, and vectors as the columns of `[n, n]`; not sorted
 */
export function symmetricEigen(
  matrix: Float64Array,
  n: number,
): { readonly values: Float64Array; readonly vectors: Float64Array } {
  const a = matrix.slice();
  const v = new Float64Array(n * n);
  for (let i = 0; i < n; i++) v[i * n + i] = 1;
  for (let sweep = 0; sweep < 60; sweep++) {
    let off = 0;
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) off += a[p * n + q] ** 2;
    if (off < 1e-30) break;
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) rotate(a, v, n, p, q);
  }
  return { values: Float64Array.from({ length: n }, (_, i) => a[i * n + i]), vectors: v };
}

/** Makes the entry at p, q zero. */
function rotate(a: Float64Array, v: Float64Array, n: number, p: number, q: number): void {
  const apq = a[p * n + q];
  if (apq === 0) return;
  const theta = (a[q * n + q] - a[p * n + p]) / (2 * apq);
  const t = Math.sign(theta || 1) / (Math.abs(theta) + Math.hypot(theta, 1));
  const c = 1 / Math.hypot(t, 1);
  const s = t * c;
  for (let k = 0; k < n; k++) {
    const [kp, kq] = [a[k * n + p], a[k * n + q]];
    a[k * n + p] = c * kp - s * kq;
    a[k * n + q] = s * kp + c * kq;
  }
  for (let k = 0; k < n; k++) {
    const [pk, qk] = [a[p * n + k], a[q * n + k]];
    a[p * n + k] = c * pk - s * qk;
    a[q * n + k] = s * pk + c * qk;
    const [vp, vq] = [v[k * n + p], v[k * n + q]];
    v[k * n + p] = c * vp - s * vq;
    v[k * n + q] = s * vp + c * vq;
  }
}

/** `X Xᵀ` of `[rows, columns]`, or `Xᵀ X` with `transposed`. */
function gram(x: Float32Array, rows: number, columns: number, transposed: boolean): Float64Array {
  const n = transposed ? columns : rows;
  const length = transposed ? rows : columns;
  const at = (i: number, k: number) => (transposed ? x[k * columns + i] : x[i * columns + k]);
  const out = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = i; j < n; j++) {
      let sum = 0;
      for (let k = 0; k < length; k++) sum += at(i, k) * at(j, k);
      out[i * n + j] = sum;
      out[j * n + i] = sum;
    }
  return out;
}

/**
 * Singular values of `B A` from two `[r, r]` matrices, without the product itself: with
 * `Bᵀ B = U L Uᵀ` they are the roots of the eigenvalues of `L½ Uᵀ (A Aᵀ) U L½`.
 * @param b `[outFeatures, r]`
 * @param a `[r, inFeatures]`
 * @returns r values, the largest first
 */
export function singularValuesOfProduct(b: Float32Array, a: Float32Array, r: number): number[] {
  const { values, vectors } = symmetricEigen(gram(b, b.length / r, r, true), r);
  const aa = gram(a, r, a.length / r, false);
  const roots = values.map((value) => Math.sqrt(Math.max(0, value)));
  const inner = new Float64Array(r * r);
  for (let i = 0; i < r; i++)
    for (let j = 0; j < r; j++) {
      let sum = 0;
      for (let k = 0; k < r; k++)
        for (let l = 0; l < r; l++) sum += vectors[k * r + i] * aa[k * r + l] * vectors[l * r + j];
      inner[i * r + j] = roots[i] * sum * roots[j];
    }
  return [...symmetricEigen(inner, r).values]
    .map((value) => Math.sqrt(Math.max(0, value)))
    .sort((x, y) => y - x);
}
