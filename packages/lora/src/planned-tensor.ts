/** One tensor of an adapter: its key in `adapter_model.safetensors` and its shape. */
export interface PlannedTensor {
  readonly key: string;
  readonly shape: readonly number[];
}
