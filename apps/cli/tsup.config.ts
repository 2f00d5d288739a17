import { defineLibrary } from '@qlorajs/build/tsup';

export default defineLibrary({
  entry: { qlora: 'src/main.ts', 'sandbox-child': 'src/sandbox/child.ts' },
  platform: 'node',
  removeNodeProtocol: false,
  dts: false,
});
