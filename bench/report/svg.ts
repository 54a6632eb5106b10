import type { TopLevelSpec } from 'vega-lite';

const LIGHT = {
  ink: '#1d2733',
  faint: '#5b6875',
  line: '#dfe4e8',
  series: [
    '#0b7285',
    '#2fb0c4',
    '#5c7cfa',
    '#9775fa',
    '#e8590c',
    '#f08c00',
    '#c2255c',
    '#2b8a3e',
    '#868e96',
    '#7f5539',
    '#343a40',
    '#1098ad',
  ],
};
const DARK = {
  ink: '#e6ebf0',
  faint: '#9aa7b4',
  line: '#2c3742',
  series: [
    '#3bc9db',
    '#99e9f2',
    '#91a7ff',
    '#b197fc',
    '#ff922b',
    '#ffd43b',
    '#f783ac',
    '#69db7c',
    '#adb5bd',
    '#d0a985',
    '#f1f3f5',
    '#66d9e8',
  ],
};

const properties = ({ ink, faint, line, series }: typeof LIGHT) =>
  [`--ink:${ink};--faint:${faint};--line:${line}`, ...series.map((colour, i) => `--series-${i}:${colour}`)].join(';');

/** The colours of a plot as CSS custom properties, for light and dark mode. */
export const palette = `:root,svg{${properties(LIGHT)}}@media(prefers-color-scheme:dark){:root,svg{${properties(DARK)}}}`;

/** Rejects if vega, which is not a dependency of the server, is not installed. */
export async function canDraw(): Promise<void> {
  await library();
}

/**
 * Draws each plot as a self-contained SVG. Ids are unique across plots, so that one page may
 * contain all of them.
 */
export async function draw(specs: readonly TopLevelSpec[]): Promise<string[]> {
  const { parse, View, compile, resetSVGDefIds } = await library();
  resetSVGDefIds(); // makes the output deterministic
  const drawn: string[] = [];
  for (const spec of specs) {
    const view = new View(parse(compile(spec).spec), { renderer: 'none' });
    const svg = await view.toSVG();
    view.finalize();
    drawn.push(svg.replace(/<svg ([^>]*)>/, `<svg $1><style>${palette}</style>`));
  }
  return drawn;
}

async function library() {
  try {
    const [vega, { compile }] = await Promise.all([import('vega'), import('vega-lite')]);
    return { ...vega, compile };
  } catch {
    throw new Error('a report needs vega to draw its plots: npm install vega@6 vega-lite@6');
  }
}
