/**
 * The layers of docs/ARCHITECTURE.md, from the bottom up. A package may import packages of lower
 * layers only; apps may import everything, nothing imports an app.
 */
const LAYERS = [
  ['errors'],
  [
    'safetensors',
    'quant-nf4',
    'chat-template',
    'tokenizer',
    'dataset',
    'phi-nano',
    'tutor-dataset',
    'personalities',
  ],
  ['compute'],
  ['compute-wasm', 'compute-webgpu', 'compute-gpujs', 'lora', 'paged-optim', 'trainer'],
  ['phi2-model'],
  ['gguf', 'session'],
];

const source = (names) => `^packages/(${names.join('|')})/src/`;
const TESTS = '\\.test\\.ts$';

const upward = LAYERS.flatMap((names, layer) =>
  names.map((name) => ({
    name: `${name}-imports-downwards`,
    severity: 'error',
    comment: `${name} may import lower layers only`,
    from: { path: source([name]), pathNot: TESTS },
    to: {
      // Its own layer too: neighbours know each other as structural interfaces, if at all.
      path: source(
        LAYERS.slice(layer)
          .flat()
          .filter((other) => other !== name),
      ),
    },
  })),
);

module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'nothing-imports-an-app',
      severity: 'error',
      from: { path: '^packages/' },
      to: { path: '^apps/' },
    },
    {
      name: 'libraries-are-pure',
      severity: 'error',
      comment: 'only the apps touch the file system, the network and processes',
      from: { path: '^packages/[^/]+/src/', pathNot: TESTS },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'no-unresolvable',
      severity: 'error',
      comment: 'an import that package.json does not declare',
      from: { pathNot: '\\.config\\.' },
      // @webgpu/types has declarations and no code.
      to: { couldNotResolve: true, pathNot: '^@webgpu/types$' },
    },
    ...upward,
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(/dist/|/node_modules/|/generated/|/fixtures/|\\.examples/)' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.base.json' },
    enhancedResolveOptions: {
      conditionNames: ['@qlorajs/source', 'import', 'types', 'default'],
      exportsFields: ['exports'],
    },
  },
};
