/** How a kernel sees one of its buffers. */
export interface Binding {
  readonly access: 'read' | 'read_write';
  /** WGSL element type of the runtime array. */
  readonly type: 'f32' | 'i32' | 'u32' | 'f16' | 'vec4f' | 'vec4u' | 'vec4h';
}

export type ParamType = 'u32' | 'i32' | 'f32';

/**
 * One WGSL program. `key` names everything that its text depends on; shapes come in at run time, as
 * parameters. A binding `x` is declared `x: array<type>`, and `p.xAt` is the first element of the
 * tensor in it, counted in elements of the tensor.
 */
export interface KernelSpec<B extends string = string, P extends string = string> {
  readonly key: string;
  /** What goes before all declarations, such as `enable f16;`. */
  readonly directives?: string;
  readonly bindings: Readonly<Record<B, Binding>>;
  readonly params: Readonly<Record<P, ParamType>>;
  /** Declarations and `fn main`. */
  readonly body: string;
}

/** Shorthands for bindings. */
export const read = (type: Binding['type'] = 'f32'): Binding => ({ access: 'read', type });
export const write = (type: Binding['type'] = 'f32'): Binding => ({ access: 'read_write', type });

/** Bytes of parameters that a dispatch may have: a dynamic offset's alignment. */
export const PARAMETER_BYTES = 256;
/** The binding of the parameters, beyond those of any kernel's tensors. */
export const PARAMETER_BINDING = 32;

/**
 * The program's text. WebGPU refuses a buffer that is bound for reading and for writing in one
 * dispatch, so that a binding which shares its buffer with an output is read through that output.
 * @param aliases for every binding the one to use in its place, itself as a rule
 */
export function wgslOf(spec: KernelSpec, aliases: readonly string[]): string {
  const names = Object.keys(spec.bindings);
  const fields = [
    ...names.map((name) => `  ${name}At: u32,`),
    ...Object.entries(spec.params).map(([name, type]) => `  ${name}: ${type},`),
  ];
  const declarations = names.flatMap((name, i) => {
    if (aliases[i] !== name) return [];
    const { access, type } = spec.bindings[name];
    return [`@group(0) @binding(${i}) var<storage, ${access}> ${name}: array<${type}>;`];
  });
  let body = spec.body;
  names.forEach((name, i) => {
    if (aliases[i] !== name)
      body = body.replace(new RegExp(`\\b${name}\\[`, 'g'), `${aliases[i]}[`);
  });
  return [
    spec.directives ?? '',
    `struct Params {\n${fields.join('\n')}\n}`,
    `@group(0) @binding(${PARAMETER_BINDING}) var<uniform> p: Params;`,
    ...declarations,
    body,
  ].join('\n');
}
