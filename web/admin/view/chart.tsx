import { effect } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { cursor, nearest } from '../state/cursor.ts';
import type { FigureName } from '../state/figures.ts';
import { type History, WINDOW } from '../state/history.ts';
import { type Format, formatMinute, formatTick, formatTime } from './format.ts';
import { type Palette, palette } from './theme.ts';

/** A line of a chart. */
export interface Line {
  readonly figure: FigureName;
  readonly label: string;
  readonly format: Format;
}

export interface ChartProps {
  readonly title: string;
  readonly history: History;
  readonly lines: readonly Line[];
  /** The least upper end of the axis. */
  readonly minTop: number;
  /** Formats the labels of the axis. @default numbers */
  readonly tick?: (value: number) => string;
  /** The distances of the labels of the axis. @default round numbers */
  readonly steps?: number[];
  /** Shows the values in place of the legend. */
  readonly values?: (index: number) => ComponentChildren;
  /** The time of the last snapshot, which renders the chart again. */
  readonly at: number;
}

const HEIGHT = 132;

// A chart of a server that has just started shows at least this many seconds.
const MIN_SPAN = 60;

/** The figures of the last ten minutes: at the cursor, or the present ones, and as lines. */
export function Chart({ title, history, lines, minTop, tick = formatTick, steps, values }: ChartProps) {
  const container = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | undefined>(undefined);
  useEffect(() => {
    const element = container.current as HTMLDivElement;
    const created = createChart(element, { count: lines.length, minTop, tick, steps });
    chart.current = created;
    const resizing = new ResizeObserver(() => created.setSize({ width: element.clientWidth, height: HEIGHT }));
    resizing.observe(element);
    const stopFollowing = followSignals(created);
    return () => {
      resizing.disconnect();
      stopFollowing();
      created.destroy();
    };
  }, []);
  // Each snapshot renders the chart again.
  useEffect(() => {
    if (document.hidden) return;
    const data = [history.at, ...lines.map(({ figure }) => history.column(figure))];
    chart.current?.setData(data as unknown as uPlot.AlignedData);
  });
  const index = cursor.value === undefined ? history.at.length - 1 : nearest(history.at, cursor.value);
  const texts = lines.map(({ figure, format }) => format(history.column(figure)[index]));
  const time = formatTime((history.at[index] ?? 0) * 1000);
  return (
    <>
      {values ? values(index) : <Legend lines={lines} values={texts} />}
      <div
        class="chart"
        ref={container}
        role="slider"
        tabIndex={0}
        aria-label={`${title}, last ten minutes`}
        aria-valuemin={0}
        aria-valuemax={Math.max(0, history.at.length - 1)}
        aria-valuenow={Math.max(0, index)}
        aria-valuetext={`${time}: ${lines.map(({ label }, i) => `${label} ${texts[i]}`).join(', ')}`}
        onKeyDown={(event) => moveCursor(event, history.at, index)}
        onBlur={() => {
          cursor.value = undefined;
        }}
      />
    </>
  );
}

function Legend({ lines, values }: { lines: readonly Line[]; values: readonly string[] }) {
  return (
    <dl class="legend" data-past={cursor.value !== undefined}>
      {lines.map(({ label }, i) => (
        <div key={label} data-series={i + 1}>
          <dt>{label}</dt>
          <dd>{values[i]}</dd>
        </div>
      ))}
    </dl>
  );
}

const STEPS: Readonly<Record<string, number>> = {
  ArrowLeft: -1,
  ArrowDown: -1,
  ArrowRight: 1,
  ArrowUp: 1,
  PageDown: -60,
  PageUp: 60,
  Home: -Infinity,
  End: Infinity,
};

function moveCursor(event: KeyboardEvent, times: readonly number[], index: number): void {
  if (event.key === 'Escape') cursor.value = undefined;
  const step = STEPS[event.key];
  if (step === undefined || times.length === 0) return;
  event.preventDefault();
  cursor.value = times[Math.min(Math.max(index + step, 0), times.length - 1)];
}

interface Axes {
  /** How many lines there are. */
  readonly count: number;
  readonly minTop: number;
  readonly tick: (value: number) => string;
  readonly steps: number[] | undefined;
}

function createChart(element: HTMLElement, { count, minTop, tick, steps }: Axes): uPlot {
  const colour = (of: (colours: Palette) => string) => () => of(palette.peek() as Palette);
  const axis = {
    stroke: colour(({ muted }) => muted),
    grid: { stroke: colour(({ grid }) => grid), width: 1 },
    ticks: { show: false },
    font: palette.peek()?.font ?? '11px sans-serif',
  };
  const series = Array.from({ length: count }, (_, i) => ({
    stroke: colour((colours) => colours.series[i] as string),
    ...(i === 0 && count === 1 && { fill: colour((colours) => `${colours.series[0]}22`) }),
    width: 1.5,
    points: { show: false },
  }));
  return new uPlot(
    {
      width: element.clientWidth,
      height: HEIGHT,
      padding: [8, 30, 0, 0],
      legend: { show: false },
      select: { show: false, left: 0, top: 0, width: 0, height: 0 },
      cursor: { y: false, drag: { x: false, y: false } },
      scales: {
        x: { range: timeRange },
        y: { range: (_, __, max) => [0, Math.max(minTop, (max ?? 0) * 1.1)] },
      },
      axes: [
        { ...axis, size: 22, gap: 4, space: 80, values: timeLabels },
        {
          ...axis,
          size: 46,
          gap: 6,
          space: 32,
          values: (_, splits) => splits.map(tick),
          ...(steps && { incrs: steps }),
        },
      ],
      series: [{}, ...series],
      hooks: { setCursor: [pointAt] },
    },
    [[], ...series.map(() => [])],
    element,
  );
}

function timeRange({ data }: uPlot): uPlot.Range.MinMax {
  const [first, last] = [data[0][0] ?? 0, data[0].at(-1) ?? 0];
  return [Math.min(Math.max(first, last - WINDOW), last - MIN_SPAN), last];
}

/** Labels whole minutes, and seconds between them. */
function timeLabels(_: uPlot, splits: number[]): string[] {
  return splits.map((at) => (at % 60 === 0 ? formatMinute(at * 1000) : formatTime(at * 1000)));
}

/** The pointer moves the cursor of all charts. */
function pointAt(chart: uPlot): void {
  if (!chart.cursor.event) return;
  const { idx } = chart.cursor;
  cursor.value = typeof idx === 'number' ? chart.data[0][idx] : undefined;
}

/** Follows the cursor that another chart or a key moves, and the colours. */
function followSignals(chart: uPlot): () => void {
  const stops = [
    effect(() => {
      const time = cursor.value;
      if (chart.root.matches(':hover')) return;
      const left = time === undefined ? -10 : chart.valToPos(time, 'x');
      chart.setCursor({ left, top: time === undefined ? -10 : 0 }, false);
    }),
    effect(() => {
      void palette.value;
      chart.redraw(false);
    }),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}
