/** Threads of a workgroup of the kernels that go over a flat range. */
export const WIDTH = 256;

/**
 * A program whose thread `i < p.size` runs `body`.
 * @param declarations functions that the body calls
 */
export function eachElement(body: string, declarations = ''): string {
  return /* wgsl */ `${declarations}
@compute @workgroup_size(${WIDTH})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let i = (group.y * groups.x + group.x) * ${WIDTH}u + local;
  if (i >= p.size) { return; }
${body}
}`;
}

/**
 * A program in which a workgroup of `WIDTH` threads works on one `row < p.rows`; `local` is the
 * thread.
 */
export function eachRow(body: string, declarations = ''): string {
  return /* wgsl */ `${declarations}
@compute @workgroup_size(${WIDTH})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let row = group.y * groups.x + group.x;
  if (row >= p.rows) { return; }
${body}
}`;
}

/** `reduceSum` and `reduceMax` over the threads of a workgroup; every thread gets the result. */
export const REDUCE = /* wgsl */ `
var<workgroup> partials: array<f32, ${WIDTH}>;
fn reduceSum(value: f32, local: u32) -> f32 {
  partials[local] = value;
  for (var step = ${WIDTH / 2}u; step > 0u; step >>= 1u) {
    workgroupBarrier();
    if (local < step) { partials[local] += partials[local + step]; }
  }
  workgroupBarrier();
  let total = partials[0];
  workgroupBarrier();
  return total;
}
fn reduceMax(value: f32, local: u32) -> f32 {
  partials[local] = value;
  for (var step = ${WIDTH / 2}u; step > 0u; step >>= 1u) {
    workgroupBarrier();
    if (local < step) { partials[local] = max(partials[local], partials[local + step]); }
  }
  workgroupBarrier();
  let largest = partials[0];
  workgroupBarrier();
  return largest;
}`;
