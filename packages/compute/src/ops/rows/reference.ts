import { floats, integers } from '../../reference/storage.js';
import { checkGatherRows, checkScatterRows, type RowsArgs } from './op.js';

export function gatherRows(args: RowsArgs): void {
  checkGatherRows(args);
  const { width } = args;
  const [source, ids, out] = [floats(args.source), integers(args.ids), floats(args.out)];
  for (let i = 0; i < ids.length; i++)
    for (let c = 0; c < width; c++)
      out[i * width + c] = ids[i] < 0 ? 0 : source[ids[i] * width + c];
}

export function scatterRows(args: RowsArgs): void {
  checkScatterRows('scatterRows', args);
  const { width } = args;
  const [source, ids, out] = [floats(args.source), integers(args.ids), floats(args.out)];
  for (let i = 0; i < ids.length; i++)
    if (ids[i] >= 0)
      for (let c = 0; c < width; c++) out[ids[i] * width + c] = source[i * width + c];
}

export function scatterAddRows(args: RowsArgs): void {
  checkScatterRows('scatterAddRows', args);
  const { width } = args;
  const [source, ids, out] = [floats(args.source), integers(args.ids), floats(args.out)];
  for (let i = 0; i < ids.length; i++)
    if (ids[i] >= 0)
      for (let c = 0; c < width; c++) out[ids[i] * width + c] += source[i * width + c];
}
