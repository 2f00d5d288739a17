import { defineLibrary } from '@qlorajs/build/tsup';

// Its types name those of WebGPU, which a consumer's compiler must be told to load.
export default defineLibrary({ dts: { banner: '/// <reference types="@webgpu/types" />' } });
