import { signal } from '@preact/signals';

/** The open pane. A wide screen shows it beside the conversation, a narrow one over it. */
export const pane = signal<'rooms' | 'people' | undefined>(undefined);

const narrowQuery = matchMedia('(max-width: 47.99rem)');

/** Whether the screen has room for the conversation only. */
export const narrow = signal(narrowQuery.matches);

/** Returns the ARIA attributes of a pane: a modal dialog on a narrow screen, else a landmark. */
export function paneProps(label: string): {
  'aria-label': string;
  role: 'dialog' | 'complementary';
  'aria-modal'?: true;
} {
  const modal = narrow.value && pane.value !== undefined;
  return {
    'aria-label': label,
    ...(modal ? { role: 'dialog', 'aria-modal': true } : { role: 'complementary' }),
  } as const;
}

/** Whether the device has a touch screen. There Enter inserts a line break. */
export const touch = matchMedia('(pointer: coarse)').matches;

/** Opens or closes a pane. On a narrow screen the focus moves into the pane. */
export function togglePane(name: 'rooms' | 'people'): void {
  if (pane.value === name) {
    closePane();
    return;
  }
  pane.value = name;
  if (!narrow.value) return;
  const first = `#${name} :is([aria-current], a, button, input)`;
  afterRender(() => document.querySelector<HTMLElement>(first)?.focus());
}

/** Closes the open pane. The focus returns to the button that opens it. */
export function closePane(): void {
  const opener = document.querySelector<HTMLElement>(`[aria-controls="${pane.value}"]`);
  pane.value = undefined;
  afterRender(() => opener?.focus());
}

/** Runs once the page is rendered, before the next event, so that a key finds the new focus. */
function afterRender(run: () => void): void {
  queueMicrotask(run); // Preact has queued the rendering before
}

/**
 * Tracks the width of the screen and closes panes on Escape. Sets `--height` to the height of the
 * visual viewport, for browsers that do not resize the page when a soft keyboard opens.
 */
export function watchScreen(): void {
  narrowQuery.addEventListener('change', ({ matches }) => {
    narrow.value = matches;
  });
  addEventListener('keydown', ({ key }) => {
    if (key === 'Escape' && pane.value !== undefined) closePane();
  });
  const { visualViewport } = window;
  visualViewport?.addEventListener('resize', () => {
    document.documentElement.style.setProperty('--height', `${visualViewport.height}px`);
  });
}
