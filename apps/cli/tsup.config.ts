import { cp } from 'node:fs/promises';
import { defineLibrary } from '@qlorajs/build/tsup';

export default defineLibrary({
  entry: { qlora: 'src/main.ts', 'sandbox-child': 'src/sandbox/child.ts' },
  platform: 'node',
  removeNodeProtocol: false,
  dts: false,
  // The built page goes along; models and adapters come from their packages.
  onSuccess: () => cp('../playground/dist', 'dist/playground', { recursive: true }),
});
