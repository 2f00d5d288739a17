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
  /**
   * Whether dispatches that follow each other on the same buffers may become one, with a z for each: then
   * `main` takes its `workgroup_id` as `group`, and z means nothing else to it.
   */
  readonly merges?: boolean;
  /** Declarations and `fn main`. */
  readonly body: string;
}

/** Shorthands for bindings. */
export const read = (type: Binding['type'] = 'f32'): Binding => ({ access: 'read', type });
export const write = (type: Binding['type'] = 'f32'): Binding => ({ access: 'read_write', type });

/** Bytes of parameters that a dispatch may have: a dynamic offset's alignment. */
export const PARAMETER_BYTES = 256;
/** Dispatches that may be merged into one. */
export const MOST_MERGED = 4;
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
  const parameters = spec.merges
    ? [
        `struct Slot { @align(16) @size(${PARAMETER_BYTES}) p: Params }`,
        `@group(0) @binding(${PARAMETER_BINDING}) var<uniform> slots: array<Slot, ${MOST_MERGED}>;`,
        'var<private> slot: u32;',
      ]
    : [`@group(0) @binding(${PARAMETER_BINDING}) var<uniform> p: Params;`];
  return [
    spec.directives ?? '',
    `struct Params {\n${fields.join('\n')}\n}`,
    ...parameters,
    ...declarations,
    spec.merges ? slotsOf(body) : body,
  ].join('\n');
}

/** Reads parameters from the slot of `group.z`. `main` has its own `slot`, which is known to be uniform. */
function slotsOf(body: string): string {
  return body
    .replace(/\bp\./g, 'slots[slot].p.')
    .replace(
      /fn main\([\s\S]*?\)\s*\{/,
      (start) => `${start}\n  slot = group.z;\n  let slot = group.z;`,
    );
}
