import 'uplot/dist/uPlot.min.css';
import { useEffect, useRef } from 'preact/hooks';
import UPlot from 'uplot';
import { isDark } from '../text/index.js';

const HEIGHT = 190;

/** A colour of the page as a canvas takes it: of the theme that is shown. */
function colourOf(element: HTMLElement, name: string): string {
  const before = element.style.color;
  element.style.color = `var(${name})`;
  const { color } = getComputedStyle(element);
  element.style.color = before;
  return color;
}

/** There is nothing between two steps. */
const STEPS = [1, 2, 5]
  .flatMap((digit) => [1, 10, 100, 1e3, 1e4].map((ten) => digit * ten))
  .sort((a, b) => a - b);

/** As short as it goes: a learning rate has many zeros. */
function tickText(tick: number): string {
  const rounded = Number(tick.toPrecision(4));
  return rounded !== 0 && Math.abs(rounded) < 0.001 ? rounded.toExponential() : String(rounded);
}

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
  const colours = isDark.value;
  useEffect(() => {
    const element = place.current!;
    const [ink, line, grid] = ['--muted', '--accent', '--line'].map((name) =>
      colourOf(element, name),
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
          { ...axis, incrs: STEPS },
          { ...axis, size: 66, values: (_, ticks) => ticks.map(tickText) },
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
  const colours = isDark.value;
  useEffect(() => {
    const context = canvas.current!.getContext('2d')!;
    const [low, high] = [Math.min(...values), Math.max(...values)];
    context.clearRect(0, 0, columns, rows);
    context.fillStyle = colourOf(canvas.current!, '--accent');
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
