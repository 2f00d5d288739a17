import { defineLibrary } from '@qlorajs/build/tsup';

export default defineLibrary({ entry: ['src/index.ts', 'src/testing.ts'] });
