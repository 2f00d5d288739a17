/** The product B A: `[rows, columns]`. */
export interface LowRank {
  /** `[rank, columns]` */
  readonly a: Float32Array;
  /** `[rows, rank]` */
  readonly b: Float32Array;
  readonly rank: number;
  readonly rows: number;
  readonly columns: number;
}

function dot(x: Float64Array, y: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i] * y[i];
  return sum;
}

/** y += factor * x */
function add(y: Float64Array, x: Float64Array, factor: number): void {
  for (let i = 0; i < y.length; i++) y[i] += factor * x[i];
}

/**
 * A = L Q with orthonormal rows of Q (Gram-Schmidt, twice, which is enough:
 * https://doi.org/10.1007/s00211-005-0615-4). A row that depends on earlier ones becomes zero in Q.
 */
function orthonormalRows(rows: Float64Array[]): { l: Float64Array[]; q: Float64Array[] } {
  const q: Float64Array[] = [];
  const l = rows.map((row, i) => {
    const factors = new Float64Array(rows.length);
    const rest = row.slice();
    const size = Math.sqrt(dot(row, row));
    for (let pass = 0; pass < 2; pass++)
      for (const [j, direction] of q.entries()) {
        const factor = dot(rest, direction);
        factors[j] += factor;
        add(rest, direction, -factor);
      }
    const length = Math.sqrt(dot(rest, rest));
    if (length <= 1e-12 * size) rest.fill(0);
    else {
      factors[i] = length;
      for (let k = 0; k < rest.length; k++) rest[k] /= length;
    }
    q.push(rest);
    return factors;
  });
  return { l, q };
}

/** Turns columns until all are orthogonal (one-sided Jacobi), and `rows` along with them. */
function orthogonalize(columns: Float64Array[], rows: Float64Array[]): void {
  for (let sweep = 0; sweep < 60; sweep++) {
    let turned = false;
    for (let i = 0; i < columns.length; i++)
      for (let j = i + 1; j < columns.length; j++) {
        const [x, y] = [columns[i], columns[j]];
        const [xx, yy, xy] = [dot(x, x), dot(y, y), dot(x, y)];
        if (Math.abs(xy) <= 1e-15 * Math.sqrt(xx * yy)) continue;
        turned = true;
        const zeta = (yy - xx) / (2 * xy);
        const tangent = (zeta >= 0 ? 1 : -1) / (Math.abs(zeta) + Math.hypot(1, zeta));
        const cosine = 1 / Math.hypot(1, tangent);
        const sine = cosine * tangent;
        for (const [p, q] of [
          [x, y],
          [rows[i], rows[j]],
        ])
          for (let k = 0; k < p.length; k++) {
            const [u, v] = [p[k], q[k]];
            p[k] = cosine * u - sine * v;
            q[k] = sine * u + cosine * v;
          }
      }
    if (!turned) return;
  }
}

/**
 * The best approximation of a product B A of smaller rank (Eckart-Young), B' = U S and A' = V^T, in
 * float64 and without ever forming the product: A = L Q, then a singular value decomposition of B L.
 */
export function truncatedProduct(product: LowRank, rank: number): LowRank {
  const { a, b, rows, columns } = product;
  const width = product.rank;
  const { l, q } = orthonormalRows(
    Array.from({ length: width }, (_, k) =>
      Float64Array.from(a.subarray(k * columns, (k + 1) * columns)),
    ),
  );
  // Columns of B L.
  const left = Array.from({ length: width }, (_, j) =>
    Float64Array.from({ length: rows }, (_, row) => {
      let sum = 0;
      for (let k = 0; k < width; k++) sum += b[row * width + k] * l[k][j];
      return sum;
    }),
  );
  orthogonalize(left, q);
  const order = [...left.keys()].sort((i, j) => dot(left[j], left[j]) - dot(left[i], left[i]));
  const result = { a: new Float32Array(rank * columns), b: new Float32Array(rows * rank) };
  for (const [k, from] of order.slice(0, rank).entries()) {
    result.a.set(q[from], k * columns);
    for (let row = 0; row < rows; row++) result.b[row * rank + k] = left[from][row];
  }
  return { ...result, rank, rows, columns };
}
