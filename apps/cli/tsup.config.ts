import { defineLibrary } from '@qlorajs/build/tsup';

export default defineLibrary({
  entry: { qlora: 'src/main.ts' },
  platform: 'node',
  removeNodeProtocol: false,
  dts: false,
});
