import type { MessageContext } from './message-context.ts';

/** How long a finger rests on a message to open its actions, in milliseconds. */
const LONG_PRESS_MS = 500;
/** How far the finger may move meanwhile, in pixels. */
const SLOP = 10;
const MESSAGE = '.rows:not(.unsent) > .message';
const CONTROLS = 'a, button, pre, input';

/**
 * Opens the actions of a message: beside it on hover and on focus, and in a dialog on a long press
 * and on the key of the context menu. In the log, Enter moves the focus to the last message on the
 * screen, and the arrows move it from there. The actions are loaded when they are first needed.
 */
export class Gestures {
  readonly #log: HTMLElement;
  readonly #contextOf: (row: Element) => MessageContext | undefined;
  readonly #watch = new AbortController();
  #press: ReturnType<typeof setTimeout> | undefined;
  #pressedAt = { x: 0, y: 0 };

  /** @param contextOf returns the message of a row. */
  constructor(log: HTMLElement, contextOf: (row: Element) => MessageContext | undefined) {
    this.#log = log;
    this.#contextOf = contextOf;
    const { signal } = this.#watch;
    const on = <K extends keyof HTMLElementEventMap>(type: K, listener: (event: HTMLElementEventMap[K]) => void) =>
      log.addEventListener(type, listener, { signal });
    on('pointerover', (event) => event.pointerType === 'mouse' && void this.#showToolbar(event.target));
    on('pointerleave', () => void this.#hideToolbar());
    on('focusin', ({ target }) => (target as Element).matches(':focus-visible') && void this.#showToolbar(target));
    on('keydown', (event) => this.#onKeyDown(event));
    on('pointerdown', (event) => this.#onPointerDown(event));
    on('pointermove', ({ clientX, clientY }) => {
      if (Math.hypot(clientX - this.#pressedAt.x, clientY - this.#pressedAt.y) > SLOP) clearTimeout(this.#press);
    });
    for (const type of ['pointerup', 'pointercancel', 'scroll'] as const) on(type, () => clearTimeout(this.#press));
    on('contextmenu', (event) => this.#onContextMenu(event as PointerEvent));
  }

  stop(): void {
    clearTimeout(this.#press);
    this.#watch.abort();
  }

  async #showToolbar(target: EventTarget | null): Promise<void> {
    const row = rowOf(target);
    const context = row && this.#contextOf(row);
    if (!context) return;
    const actions = await load();
    // The pointer may have moved on while the actions were loading.
    if (row.matches(':hover, :focus-within')) actions?.showToolbar(row, context);
  }

  async #hideToolbar(): Promise<void> {
    if (!this.#log.matches(':focus-within')) (await load())?.hideToolbar();
  }

  async #openDialog(row: Element): Promise<void> {
    const context = this.#contextOf(row);
    if (!context || document.querySelector('dialog[open]')) return;
    const actions = await load();
    if (actions) actions.openDialog(context, row as HTMLElement);
    else context.chat.showNotice('The actions could not be loaded. Check your connection and try again.');
  }

  #onPointerDown(event: PointerEvent): void {
    clearTimeout(this.#press);
    const row = rowOf(event.target);
    if (event.pointerType === 'mouse' || !row || (event.target as Element).closest(CONTROLS)) return;
    this.#pressedAt = { x: event.clientX, y: event.clientY };
    this.#press = setTimeout(() => void this.#openDialog(row), LONG_PRESS_MS);
  }

  /** Leaves the browser's menu to the mouse, and to links. */
  #onContextMenu(event: PointerEvent): void {
    const row = rowOf(event.target);
    if (!row || (event.target as Element).closest(CONTROLS) || event.pointerType === 'mouse') return;
    event.preventDefault();
    // A long press opens the dialog itself: not every browser reports it as a context menu.
    if (event.pointerType === '') void this.#openDialog(row);
  }

  #onKeyDown(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { target, key } = event;
    if (target === this.#log && key === 'Enter') {
      event.preventDefault();
      focusRow(this.#lastVisible());
    }
    const row = rowOf(target);
    if (!row) return;
    if (row !== target) {
      if (key !== 'Escape') return;
      event.stopPropagation();
      focusRow(row);
      return;
    }
    const rows = this.#messages;
    const step = { ArrowUp: -1, ArrowDown: 1 }[key];
    if (step !== undefined) focusRow(rows[rows.indexOf(row) + step]);
    else if (key === 'Escape') this.#log.focus();
    else if (key === 'Enter' || key === 'ContextMenu') void this.#openDialog(row);
    else {
      const context = this.#contextOf(row);
      if (context && key.length === 1) void load().then((actions) => actions?.runShortcut(key, context));
      return;
    }
    event.preventDefault();
    event.stopPropagation(); // Escape closes one thing at a time
  }

  get #messages(): readonly Element[] {
    return [...this.#log.querySelectorAll(MESSAGE)];
  }

  #lastVisible(): Element | undefined {
    const edge = this.#log.getBoundingClientRect().bottom;
    return this.#messages.findLast((row) => row.getBoundingClientRect().top < edge - 8);
  }
}

/** Returns undefined while they cannot be loaded: the next gesture tries again. */
const load = () => import('./message-actions.tsx').catch(() => undefined);

function rowOf(target: EventTarget | null): HTMLElement | null {
  return (target as Element | null)?.closest<HTMLElement>(MESSAGE) ?? null;
}

function focusRow(row: Element | undefined): void {
  if (!(row instanceof HTMLElement)) return;
  row.tabIndex = -1;
  row.focus();
}
