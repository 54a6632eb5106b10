import { signal } from '@preact/signals';

/** The colours of the charts, which a canvas cannot take from the styles. */
export interface Palette {
  readonly font: string;
  readonly muted: string;
  readonly grid: string;
  readonly series: readonly [string, string, string];
}

export const palette = signal<Palette | undefined>(undefined);

/** Whether the picture has room beside itself. */
export const isWide = signal(false);

/** Whether the operator wants no movement. */
export const isStill = signal(false);

/** Follows the theme, the width and the motion that the browser asks for. */
export function followScreen(): void {
  follow('(prefers-color-scheme: dark)', () => {
    palette.value = readPalette();
  });
  follow('(min-width: 62rem)', (matches) => {
    isWide.value = matches;
  });
  follow('(prefers-reduced-motion: reduce)', (matches) => {
    isStill.value = matches;
  });
}

function follow(query: string, changed: (matches: boolean) => void): void {
  const media = matchMedia(query);
  media.addEventListener('change', () => changed(media.matches));
  changed(media.matches);
}

function readPalette(): Palette {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  return {
    font: `11px ${style.fontFamily}`,
    muted: colour('--muted'),
    grid: colour('--grid'),
    series: [colour('--series-1'), colour('--series-2'), colour('--series-3')],
  };
}
