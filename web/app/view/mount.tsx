import { type ComponentChild, render } from 'preact';

/**
 * Renders a dialog at the end of the page until it closes.
 *
 * @param opener the element that gets the focus back, unless the composer edits or replies, or the
 * user has moved the focus since the browser gave it back.
 */
export function mount(dialog: (close: () => void) => ComponentChild, opener: HTMLElement): void {
  const root = document.createElement('div');
  document.body.append(root);
  const before = document.activeElement;
  const close = () => {
    render(null, root);
    root.remove();
    if (document.querySelector('dialog[open]')) return;
    const { activeElement, body } = document;
    if (activeElement && activeElement !== body && activeElement !== before) return;
    const writing = document.querySelector<HTMLElement>('.composer[data-mode] textarea');
    (writing ?? opener).focus({ preventScroll: true });
  };
  render(dialog(close), root);
}
