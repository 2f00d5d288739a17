import { defineLibrary } from '@qlorajs/build/tsup';

export default defineLibrary();
