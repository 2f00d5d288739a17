import 'uplot/dist/uPlot.min.css';
import { useEffect, useRef } from 'preact/hooks';
import UPlot from 'uplot';
import { theme } from '../text/index.js';

const HEIGHT = 190;

/** A curve over steps. */
export function Chart(props: {
  title: string;
  steps: readonly number[];
  values: readonly number[];
  logarithmic?: boolean;
}) {
  const { title, steps, values } = props;
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot | null>(null);
  const data: UPlot.AlignedData = [[...steps], [...values]];
  const colours = theme.value;
  useEffect(() => {
    const element = place.current!;
    const style = getComputedStyle(element);
    const [ink, line, grid] = ['--muted', '--accent', '--line'].map((name) =>
      style.getPropertyValue(name).trim(),
    );
    const axis = {
      stroke: ink,
      grid: { stroke: grid, width: 1 },
      ticks: { stroke: grid, width: 1 },
    };
    const made = new UPlot(
      {
        width: element.clientWidth,
        height: HEIGHT,
        cursor: { y: false },
        legend: { show: false },
        scales: { x: { time: false } },
        axes: [
          axis,
          {
            ...axis,
            size: 62,
            values: (_, ticks) => ticks.map((tick) => String(Number(tick.toPrecision(4)))),
          },
        ],
        series: [{}, { stroke: line, width: 2, points: { show: values.length < 2 } }],
      },
      data,
      element,
    );
    plot.current = made;
    const watcher = new ResizeObserver(() => {
      made.setSize({ width: element.clientWidth, height: HEIGHT });
    });
    watcher.observe(element);
    return () => {
      watcher.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [colours]);
  useEffect(() => plot.current?.setData(data), [steps.length, values.at(-1)]);
  const last = values.at(-1);
  return (
    <figure class="chart">
      <figcaption>
        {title} <output>{last === undefined ? '' : Number(last.toPrecision(4))}</output>
      </figcaption>
      <div ref={place} role="img" aria-label={`${title}: ${last ?? ''}`} />
    </figure>
  );
}

/** Bars of one series, as a drawing that scales. */
export function Bars(props: {
  title: string;
  values: readonly number[];
  labels?: readonly string[];
  height?: number;
}) {
  const { title, values, labels, height = 120 } = props;
  const most = Math.max(...values, Number.MIN_VALUE);
  const width = 100 / values.length;
  return (
    <figure class="chart">
      <figcaption>{title}</figcaption>
      <svg
        viewBox={`0 0 100 ${height / 3}`}
        preserveAspectRatio="none"
        height={height}
        role="img"
        aria-label={title}
      >
        {values.map((value, i) => {
          const tall = (value / most) * (height / 3);
          return (
            <rect
              key={labels?.[i] ?? i}
              class="bar"
              x={i * width + width * 0.08}
              y={height / 3 - tall}
              width={width * 0.84}
              height={tall}
            >
              <title>{`${labels?.[i] ?? i}: ${Number(value.toPrecision(4))}`}</title>
            </rect>
          );
        })}
      </svg>
    </figure>
  );
}

/** A map of values, row by row, drawn as squares of one colour. */
export function HeatMap(props: {
  title: string;
  rows: number;
  columns: number;
  values: readonly number[];
}) {
  const { title, rows, columns, values } = props;
  const canvas = useRef<HTMLCanvasElement>(null);
  const colours = theme.value;
  useEffect(() => {
    const context = canvas.current!.getContext('2d')!;
    const style = getComputedStyle(canvas.current!);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    context.clearRect(0, 0, columns, rows);
    context.fillStyle = style.getPropertyValue('--accent');
    for (const [i, value] of values.entries()) {
      context.globalAlpha = 0.08 + 0.92 * ((value - low) / (high - low || 1));
      context.fillRect(i % columns, Math.floor(i / columns), 1, 1);
    }
  }, [values, colours]);
  return (
    <figure class="chart">
      <figcaption>{title}</figcaption>
      <canvas
        ref={canvas}
        class="heat"
        width={columns}
        height={rows}
        role="img"
        aria-label={title}
      />
    </figure>
  );
}
