export { adamw } from './adamw';
export { adamw8bit } from './adamw8bit';
export { attention } from './attention';
export { attentionBackward } from './attention-backward';
export { attentionRow } from './attention-row';
export { columnSums, inverseRowNorms, scaleColumns } from './columns';
export { crossEntropy } from './cross-entropy';
export { dequantizeNf4 } from './dequantize';
export { dropout } from './dropout';
export { axpby, fill } from './elementwise';
export { fewRows } from './few-rows';
export { gelu, geluBackward } from './gelu';
export { gemm, packA } from './gemm';
export { gemv } from './gemv';
export { layerNorm, layerNormBackward } from './layer-norm';
export { initialize } from './nf4';
export { clipScale, sumSquaresPart, sumSquaresTotal } from './norm';
export {
  COLUMNS as PRODUCT_TILE_COLUMNS,
  ROWS as PRODUCT_TILE_ROWS,
  repeatProductTile,
} from './product-tile';
export { quantizeNf4 } from './quantize';
export { rotary } from './rotary';
export { gatherRows, scatterAddRows, scatterRows } from './rows';
export { ROWS } from './tile';

/** The first address that is free for tensors. */
export function heapBase(): usize {
  return __heap_base;
}
