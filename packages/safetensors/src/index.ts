export { type ByteSource, blobSource, bytesSource } from './byte-source.js';
export { type CheckpointOptions, openCheckpoint, type TensorSource } from './checkpoint.js';
export { fromFloat32, toFloat32 } from './convert.js';
export { SAFETENSORS_DTYPES, type SafetensorsDtype } from './dtypes.js';
export { type FolderSource, memoryFolder } from './folder-source.js';
export { type ByteRange, openSafetensors, type SafetensorsFile } from './safetensors-file.js';
export { planShards, type ShardOptions, type ShardPlan } from './shard-plan.js';
export type { TensorEntry, TensorInfo } from './tensor-info.js';
export { type NamedTensor, safetensorsChunks, writeSafetensors } from './write.js';
