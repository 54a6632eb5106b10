import { signal } from '@preact/signals';

/** What a narrow screen shows over the conversation, and a wide one beside it. */
export const pane = signal<'rooms' | 'people' | undefined>(undefined);

const narrowQuery = matchMedia('(max-width: 47.99rem)');

/** Whether there is room for the conversation only. */
export const narrow = signal(narrowQuery.matches);

/** What a pane is: beside the conversation, or over all else, which has to wait. */
export function paneProps(label: string): {
  'aria-label': string;
  role: 'dialog' | 'complementary';
  'aria-modal'?: true;
} {
  const over = narrow.value && pane.value !== undefined;
  return {
    'aria-label': label,
    ...(over ? { role: 'dialog', 'aria-modal': true } : { role: 'complementary' }),
  } as const;
}

/** Whether one types on the screen itself: there Enter begins a line. */
export const touch = matchMedia('(pointer: coarse)').matches;

/** Opens a pane, or closes it: on a narrow screen the keyboard goes where one looks. */
export function togglePane(which: 'rooms' | 'people'): void {
  if (pane.value === which) {
    closePane();
    return;
  }
  pane.value = which;
  if (!narrow.value) return;
  const first = `#${which} :is(a, button, input)`;
  requestAnimationFrame(() => document.querySelector<HTMLElement>(first)?.focus());
}

export function closePane(): void {
  const opener = document.querySelector<HTMLElement>(`[aria-controls="${pane.value}"]`);
  pane.value = undefined;
  requestAnimationFrame(() => opener?.focus());
}

/** Follows the size of the screen, and of what a soft keyboard leaves of it where the browser does not. */
export function followScreen(): void {
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
