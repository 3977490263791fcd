/**
 * Plots as SVG text, drawn for reading in a page without scripts or fonts of its own: intervals, and curves.
 *
 * Colours are the page's (`currentColor`, CSS variables), so that both follow its light or dark scheme.
 */
export interface Bar {
  readonly label: string;
  readonly value: number;
  /** Undefined for values without an interval. */
  readonly interval?: readonly [low: number, high: number] | undefined;
}

const WIDTH = 560;
const LABEL_WIDTH = 170;
const ROW_HEIGHT = 26;

/** Horizontal bars from 0 with their intervals; `mark` is a line to be reached. */
export function barPlot(title: string, bars: readonly Bar[], mark?: number): string {
  const ends = bars.flatMap(({ value, interval }) => [value, interval?.[1] ?? value]);
  const greatest = Math.max(...ends.filter(Number.isFinite), mark ?? 0) || 1;
  const x = (value: number): number => LABEL_WIDTH + (value / greatest) * (WIDTH - LABEL_WIDTH - 70);
  const height = 24 + bars.length * ROW_HEIGHT + 6;
  const rows = bars.map((bar, index) => barRow(bar, 24 + index * ROW_HEIGHT, x));
  const line = mark === undefined ? '' : markLine(x(mark), height, mark);
  return svg(title, height, `${heading(title)}${rows.join('')}${line}`);
}

function barRow({ label, value, interval }: Bar, y: number, x: (value: number) => number): string {
  if (!Number.isFinite(value)) return text(LABEL_WIDTH - 8, y + 16, label, 'end') + text(LABEL_WIDTH + 4, y + 16, '–');
  const middle = y + ROW_HEIGHT / 2;
  const whisker =
    interval === undefined || !interval.every(Number.isFinite)
      ? ''
      : `<path d="M${round(x(interval[0]))} ${middle}H${round(x(interval[1]))}M${round(x(interval[0]))} ${middle - 5}v10M${round(x(interval[1]))} ${middle - 5}v10" stroke="currentColor" fill="none"/>`;
  const end = Math.max(x(value), interval === undefined ? 0 : x(interval[1]));
  return (
    text(LABEL_WIDTH - 8, middle + 4, label, 'end') +
    `<rect x="${LABEL_WIDTH}" y="${y + 5}" width="${round(x(value) - LABEL_WIDTH)}" height="${ROW_HEIGHT - 10}" fill="var(--bar)"/>` +
    whisker +
    text(round(end) + 6, middle + 4, value.toFixed(4))
  );
}

function markLine(x: number, height: number, mark: number): string {
  return `<path d="M${round(x)} 20V${height - 4}" stroke="var(--mark)" stroke-dasharray="4 3"/>${text(round(x) + 4, 20, `bar ${mark}`)}`;
}

export interface Curve {
  readonly label: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

const PLOT_HEIGHT = 180;
const MARGIN = { left: 60, right: 130, top: 28, bottom: 26 };
const STROKES = ['var(--bar)', 'var(--mark)', 'currentColor', 'var(--third)'];

/** Lines over a shared x axis, such as loss by epoch. Empty without two points to join. */
export function curvePlot(title: string, curves: readonly Curve[], xLabel: string): string {
  const drawn = curves.filter(({ points }) => points.length > 1);
  if (drawn.length === 0) return '';
  const all = drawn.flatMap(({ points }) => points);
  const [xLow, xHigh] = extent(all.map(([x]) => x));
  const [yLow, yHigh] = extent(all.map(([, y]) => y));
  const x = (value: number): number =>
    MARGIN.left + ((value - xLow) / (xHigh - xLow || 1)) * (WIDTH - MARGIN.left - MARGIN.right);
  const y = (value: number): number =>
    PLOT_HEIGHT - MARGIN.bottom - ((value - yLow) / (yHigh - yLow || 1)) * (PLOT_HEIGHT - MARGIN.top - MARGIN.bottom);
  const lines = drawn.map(({ label, points }, index) => {
    const stroke = STROKES[index % STROKES.length]!;
    const path = points.map(([px, py], place) => `${place === 0 ? 'M' : 'L'}${round(x(px))} ${round(y(py))}`).join('');
    const [lastX, lastY] = points.at(-1)!;
    return `<path d="${path}" fill="none" stroke="${stroke}" stroke-width="2"/>${text(round(x(lastX)) + 6, round(y(lastY)) + 4, label)}`;
  });
  const axes = `<path d="M${MARGIN.left} ${MARGIN.top}V${PLOT_HEIGHT - MARGIN.bottom}H${WIDTH - MARGIN.right}" fill="none" stroke="currentColor" opacity=".5"/>`;
  const ticks = [
    text(MARGIN.left - 6, PLOT_HEIGHT - MARGIN.bottom, short(yLow), 'end'),
    text(MARGIN.left - 6, MARGIN.top + 8, short(yHigh), 'end'),
    text(MARGIN.left, PLOT_HEIGHT - 8, short(xLow)),
    text(WIDTH - MARGIN.right, PLOT_HEIGHT - 8, `${short(xHigh)} ${xLabel}`, 'end'),
  ];
  return svg(title, PLOT_HEIGHT, `${heading(title)}${axes}${ticks.join('')}${lines.join('')}`);
}

function extent(values: readonly number[]): [low: number, high: number] {
  const finite = values.filter(Number.isFinite);
  return finite.length === 0 ? [0, 1] : [Math.min(...finite), Math.max(...finite)];
}

function svg(title: string, height: number, body: string): string {
  return `<svg viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escapeText(title)}">${body}</svg>`;
}

function heading(title: string): string {
  return `<text x="0" y="14" font-weight="600">${escapeText(title)}</text>`;
}

function text(x: number, y: number, content: string, anchor: 'start' | 'end' = 'start'): string {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}">${escapeText(content)}</text>`;
}

function short(value: number): string {
  return Math.abs(value) >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** For text and attributes of HTML and SVG alike. */
export function escapeText(content: string): string {
  return content.replace(/[&<>"']/g, (character) => ENTITIES[character]!);
}
